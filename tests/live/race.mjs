// Runs the race of methods on fixtures: node race.mjs bundle.mjs model.js order.js fixtures.json
// writes what it computes to standard output. The comparison itself is in test_race_figure.py.
import { readFileSync } from "node:fs";

const load = (path) =>
  import(`data:text/javascript;base64,${readFileSync(path).toString("base64")}`);
const [, , bundlePath, modelPath, orderPath, fixturesPath] = process.argv;
const figure = await load(bundlePath);
const model = await load(modelPath);
const order = await load(orderPath);
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
  // The order-aware method alone, which may not know f*.
  ordered: fixtures.ordered.map(({ known, ...state }) => {
    const { course, x0 } = figure.enter(state);
    const racer = new model.Racer("order", course, state, x0, (x, call, of, given) =>
      order.orderAware(x, call, of, { ...given, fStar: known ? 0 : -Infinity }));
    racer.advance(state.maxiter);
    const { f, n, jumps, failed } = racer;
    return { x0, f: Array.from(f.slice(0, n), tell), jumps, failed };
  }),
  eigen: fixtures.eigen.map(([diagonal, beside]) => order.eigen(diagonal, beside)
    .map(({ value, vector }) => [value, Array.from(vector)])),
  presets: figure.PRESETS,
  names: Object.keys(figure).sort(),
  renders: typeof figure.default.render,
}));
