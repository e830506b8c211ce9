// Runs the figure of a noisy trigger on fixtures: node noise.mjs bundle.mjs fixtures.json
// writes what it computes to standard output. The comparison itself is in test_noise_figure.py.
import { readFileSync } from "node:fs";

const [, , bundlePath, fixturesPath] = process.argv;
const source = readFileSync(bundlePath).toString("base64");
const figure = await import(`data:text/javascript;base64,${source}`);
const fixtures = JSON.parse(readFileSync(fixturesPath, "utf8"));

process.stdout.write(JSON.stringify({
  below: fixtures.below.map((given) => figure.chiBelow(...given)),
  quantiles: fixtures.quantiles.map((given) => figure.chiQuantile(...given)),
  rules: fixtures.rules.map((state) => [figure.thresholdOf(state), figure.ownBatch(state)]),
  draws: fixtures.draws.map(([dim, norm, s]) =>
    Array.from(figure.norms(figure.drawNoise({ seed: 5, dim })[1], norm, s))),
  walks: fixtures.walks.map(({ steps, seeds, s, ...state }) =>
    Array.from({ length: seeds }, (_, seed) => figure.drawRuns({ seed, dim: state.dim })
      .map((draws) => figure.walk(draws, s, state, { threshold: 1, grad_norm: 2 })))
      .flat().map((points) => steps.map((k) => [points[k].size, points[k].seen, points[k].x1]))),
  shown: fixtures.shown.map((state) => {
    const runDraws = figure.drawRuns(state);
    const p = figure.compute(state, figure.drawNoise(state), runDraws);
    return { runDraws, runs: p.runs, threshold: p.threshold, missed: p.missed, alarms: p.alarms,
             predictedMissed: p.predictedMissed, predictedAlarm: p.predictedAlarm,
             needed: p.needed, neededThreshold: p.neededThreshold, near: p.near,
             noticed: p.noticed, atSaddle: Array.from(p.atSaddle), atLarge: Array.from(p.atLarge),
             summary: figure.summarize(p), axis: figure.axisOf(p) };
  }),
  names: Object.keys(figure).sort(),
  renders: typeof figure.default.render,
}));
