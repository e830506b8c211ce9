// Runs the figure of an escape episode on fixtures: node episode.mjs bundle.mjs fixtures.json
// writes what it computes to standard output. The comparison itself is in test_episode.py.
import { readFileSync } from "node:fs";

const [, , bundlePath, fixturesPath] = process.argv;
const source = readFileSync(bundlePath).toString("base64");
const figure = await import(`data:text/javascript;base64,${source}`);
const fixtures = JSON.parse(readFileSync(fixturesPath, "utf8"));

// JSON has no infinity.
const tell = (x) => (Number.isFinite(x) ? x : String(x));

process.stdout.write(JSON.stringify({
  below: fixtures.below.map(([s, dim]) => figure.coordinateBelow(s, dim)),
  quantiles: fixtures.quantiles.map(([prob, dim]) => figure.coordinateQuantile(prob, dim)),
  draws: fixtures.draws.map((state) => {
    const coordinates = figure.drawCoordinates(state);
    return Array.from({ length: state.runs }, (_, i) => coordinates.at(i));
  }),
  escapes: fixtures.escapes.map(({ x1, ...options }) =>
    x1.map((x) => tell(figure.escapeTime(x, options)))),
  shown: fixtures.shown.map(({ steps, ...state }) => {
    const coordinates = figure.drawCoordinates(state);
    const p = figure.show(figure.predict(state), coordinates);
    const batch = new figure.Batch(p, coordinates);
    const [sizes, medians] = [[], []];
    while (batch.done < 20) {
      batch.grow(1);
      medians.push(batch.median());
    }
    while (!batch.complete) {
      batch.grow(1000);
      sizes.push(batch.done);
    }
    return {
      sizes, medians, ell: p.ell, step_size: p.stepSize, exit: p.exit, radius: p.theoryRadius,
      deadline: p.deadline, median: p.median, length: p.episodeLength, kmax: p.kmax, bin: p.bin,
      theory_deadline: p.theoryDeadline, x1: p.x1, escape: tell(p.escape),
      band: steps.map((t) => p.band.map((x) => p.after(x, t))),
      inside: steps.map((t) => p.inside(t)),
      times: Array.from(batch.times), measured_median: batch.median(),
      measured_late: batch.late(p.deadline), summary: figure.summarize(p),
    };
  }),
  names: Object.keys(figure).sort(),
  renders: typeof figure.default.render,
}));
