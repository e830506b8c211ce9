// Runs the race of methods on fixtures: node race.mjs bundle.mjs model.js fixtures.json
// writes what it computes to standard output. The comparison itself is in test_race_figure.py.
import { readFileSync } from "node:fs";

const load = (path) =>
  import(`data:text/javascript;base64,${readFileSync(path).toString("base64")}`);
const [, , bundlePath, modelPath, fixturesPath] = process.argv;
const figure = await load(bundlePath);
const model = await load(modelPath);
const fixtures = JSON.parse(readFileSync(fixturesPath, "utf8"));

const tell = (x) => (Number.isFinite(x) ? x : String(x)); // JSON has no infinity

process.stdout.write(JSON.stringify({
  values: fixtures.values.map(({ points, ...given }) => {
    const course = model.courseOf(given);
    return points.map((x) => {
      const g = new Float64Array(x.length);
      return [course.evaluate(Float64Array.from(x), g), Array.from(g)];
    });
  }),
  shown: fixtures.shown.map(({ keep, ...state }) => {
    const p = figure.enter(state);
    figure.advance(p, 17); // in two pieces, as a page does
    const early = figure.ranking(p, 17);
    figure.advance(p, state.maxiter);
    const rows = figure.ranking(p, state.maxiter);
    const { eta, mu, top, norm } = p.course;
    return {
      eta, mu, top, norm, x0: p.x0, growth: p.growth, floor: p.floor, early, rows: rows.map((row) =>
        ({ ...row, least: tell(row.least) })),
      runs: Object.fromEntries(p.racers.map(({ name, f, n, jumps, done }) =>
        [name, { f: Array.from(f.slice(0, Math.min(n, keep ?? n)), tell), n, jumps, done }])),
      law: figure.predict(p), summary: figure.summarize(p, rows, state.maxiter),
    };
  }),
  presets: figure.PRESETS,
  names: Object.keys(figure).sort(),
  renders: typeof figure.default.render,
}));
