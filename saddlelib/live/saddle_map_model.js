// What the figure of the saddle computes: two runs from one start, and what was predicted for them.

import { niceStep } from "./kit/numbers.js";
import * as model from "./model.js";

const BOUND = 1e3; // an iterate this far out is not coming back

export function compute(s) {
  const problem = { gamma: s.gamma, lam: s.lam };
  const exit = model.exitRadius(problem);
  const ell = model.lipschitzGrad(problem);
  const common = { problem, x0: s.start, stepSize: s.step_size, maxiter: s.maxiter,
                   perturbationRadius: s.perturbation_radius, sigma: s.noise, bound: BOUND };
  const parameters = model.pgdParameters(common);
  // Both runs meet the same noise, so they part only where PGD perturbs.
  const normal = () => {
    const uniform = model.mulberry32(s.seed);
    return () => model.normalPair(uniform);
  };
  const ball = model.ballFrom(s.seed);
  const judge = (trace, kick) => {
    const law = { y1: (kick?.to ?? s.start)[0], k0: kick?.k ?? 0, stepSize: s.step_size,
                  gamma: s.gamma, sigma: s.noise, exit };
    return { trace, kick, law, escape: model.measuredEscape(trace, exit),
             predicted: model.predictedEscape(law) };
  };
  const gd = judge(model.runGD({ ...common, normal: normal() }));
  const trace = model.runPGD({ ...common, ...parameters, normal: normal(), ball });
  // The prediction starts at the last perturbation before the escape, if there is one.
  const escape = model.measuredEscape(trace, exit) ?? Infinity;
  const pgd = judge(trace, trace.perturbations.filter((p) => p.k < escape).at(-1));

  // The plots reach past the last thing that happens, to a round number.
  let last = 20;
  for (const run of [gd, pgd]) {
    const end = run.trace.diverged ?? run.trace.stopped
      ?? (run.escape === null ? s.maxiter : run.escape + 40);
    last = Math.max(last, end, run.predicted <= s.maxiter ? run.predicted : 0);
  }
  const stuck = s.start[0] === 0 && s.noise === 0; // nothing more happens to GD
  if (stuck && pgd.trace.stopped !== null) last = pgd.trace.stopped;
  const tick = niceStep(last * 1.08, 5);
  const kmax = Math.min(s.maxiter, Math.ceil((last * 1.08) / tick) * tick);
  return { ...s, problem, exit, ell, gd, pgd, stuck, parameters, kmax };
}
