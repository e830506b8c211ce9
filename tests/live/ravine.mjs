// Runs the figure of a ravine on fixtures: node ravine.mjs bundle.mjs model.js fixtures.json
// writes what it computes to standard output. The comparison itself is in test_ravine_figure.py.
import { readFileSync } from "node:fs";

const load = (path) =>
  import(`data:text/javascript;base64,${readFileSync(path).toString("base64")}`);
const [, , bundlePath, modelPath, fixturesPath] = process.argv;
const figure = await load(bundlePath);
const model = await load(modelPath);
const fixtures = JSON.parse(readFileSync(fixturesPath, "utf8"));

const tell = (x) => (Number.isFinite(x) ? x : String(x)); // JSON has no infinity

process.stdout.write(JSON.stringify({
  levels: fixtures.levels.map(({ size, angles, ...given }) => {
    const f = model.functionOf(given);
    return angles.map((a) => {
      const [t, w] = model.levelPoint(f, size, a);
      return f.swap ? [w, t] : [t, w];
    });
  }),
  quotients: fixtures.quotients.map(([gap, g]) => model.polyakQuotient(gap, g)),
  shown: fixtures.shown.map((state) => {
    const p = figure.compute(state);
    const runs = Object.fromEntries(Object.entries(p.runs).map(([name, run]) => {
      const upTo = (values) => Array.from(values.slice(0, run.nit + 1), tell);
      return [name, { t: upTo(run.t), n: upTo(run.n), f: upTo(run.f), step: upTo(run.step),
                      jumps: run.jumps, ended: run.ended, nit: run.nit }];
    }));
    return { runs, prediction: p.prediction, from: p.from,
             measured: { ...p.measured, contraction: tell(p.measured.contraction),
                         growth: tell(p.measured.growth) },
             slow: p.slow && [p.from, 200, 500, state.maxiter].map((k) => [k, p.slow(k)]),
             scale: figure.scaleAt(p, state.maxiter), summary: figure.summarize(p),
             panels: figure.panelsOf(p).map(({ lines, laws, floor }) =>
               [lines.length, laws.length, floor && floor.value]) };
  }),
  presets: figure.PRESETS,
  names: Object.keys(figure).sort(),
  renders: typeof figure.default.render,
}));
