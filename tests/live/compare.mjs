// Runs the live figure's modules on fixtures: node compare.mjs model.js bundle.mjs fixtures.json
// writes what they compute to standard output. The comparison itself is in test_model.py.
import { readFileSync } from "node:fs";

const load = (path) =>
  import(`data:text/javascript;base64,${readFileSync(path).toString("base64")}`);
const [, , modelPath, bundlePath, fixturesPath] = process.argv;
const model = await load(modelPath);
const figure = await load(bundlePath);
const fixtures = JSON.parse(readFileSync(fixturesPath, "utf8"));

// JSON has no infinity.
const tell = (x) => (Number.isFinite(x) ? x : String(x));

// Draws in the order in which saddlelib made them; to ask for one more is an error.
function queue(draws) {
  let next = 0;
  return Object.assign(() => {
    if (next === draws.length) throw new Error(`draw ${next} was never made`);
    next += 1;
    return draws[next - 1];
  }, { used: () => next });
}

const runs = fixtures.runs.map(({ method, noise, balls, ...options }) => {
  const [normal, ball] = [queue(noise), queue(balls)];
  const trace = { gd: model.runGD, pgd: model.runPGD }[method]({ ...options, normal, ball });
  const upTo = (values) => Array.from(values.slice(0, trace.nit + 1), tell);
  return {
    y1: upTo(trace.y1), y2: upTo(trace.y2), f: upTo(trace.f), nit: trace.nit,
    perturbed_at: trace.perturbations.map((p) => p.k),
    perturbed_to: trace.perturbations.map((p) => p.to),
    stopped: trace.stopped, returned: trace.returned, diverged: trace.diverged,
    balls_used: ball.used(), noise_used: normal.used(),
    escape: model.measuredEscape(trace, model.exitRadius(options.problem)),
  };
});

const facts = fixtures.facts.map(({ problem, points }) => ({
  f: points.map((y) => model.fun(y, problem)),
  grad: points.map((y) => model.grad(y, problem)),
  eigenvalues: points.map((y) => model.hessEigenvalues(y, problem)),
  f_star: model.fStar(problem), minimizer: model.minimizer(problem),
  lipschitz_grad: model.lipschitzGrad(problem), exit: model.exitRadius(problem),
}));

const uniform = model.mulberry32(fixtures.seed);
process.stdout.write(JSON.stringify({
  runs,
  facts,
  parameters: fixtures.parameters.map((options) => model.pgdParameters(options)),
  escapes: fixtures.escapes.map((options) => tell(model.predictedEscape(options))),
  sizes: fixtures.sizes.map(({ steps, ...options }) =>
    steps.map((j) => model.predictedSize(j, options))),
  balls: fixtures.balls.map(([normals, u]) => model.uniformBall(normals, u)),
  uniforms: Array.from({ length: 4000 }, uniform),
  normals: Array.from({ length: 4000 }, () => model.normalPair(uniform)),
  kicks: Array.from({ length: 4000 }, model.ballFrom(fixtures.seed)),
  names: Object.keys(figure).sort(),
  renders: typeof figure.default.render,
  shown: fixtures.shown.map((state) => {
    const s = figure.compute(state);
    return { summary: figure.summarize(s), kmax: s.kmax,
             escape_gd: s.gd.escape, predicted: tell(s.gd.predicted),
             escape_pgd: s.pgd.escape, predicted_pgd: tell(s.pgd.predicted) };
  }),
}));
