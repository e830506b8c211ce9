// Runs the models of the live figures on fixtures: node models.mjs NAME < fixtures.json writes what
// they compute to standard output. The sources run as they are, unbundled. What it should be is in
// the tests beside this file.
import { readFileSync } from "node:fs";

const live = (name) => import(new URL(`../../saddlelib/live/${name}`, import.meta.url));
const tell = (x) => (Number.isFinite(x) ? x : String(x)); // JSON has no infinity

// Draws in the order in which saddlelib made them; to ask for one more is an error.
function queue(draws) {
  let next = 0;
  return Object.assign(() => {
    if (next === draws.length) throw new Error(`draw ${next} was never made`);
    next += 1;
    return draws[next - 1];
  }, { used: () => next });
}

const figures = {
  // The functions of a module, each called with every list of arguments.
  async kit({ module, calls }) {
    const found = await live(module);
    return Object.fromEntries(Object.entries(calls).map(([name, lists]) =>
      [name, lists.map((given) => found[name](...given))]));
  },

  // Scales: where numbers are, back again, and their ticks.
  async scales(asked) {
    const axes = await live("kit/axes.js");
    return asked.map(([name, given, count, values]) => {
      const scale = axes[name](...given);
      const of = values.map(scale.of);
      return { of, at: of.map(scale.at), ticks: scale.ticks(count) };
    });
  },

  // What a figure says of states, from its source and from its bundle.
  async words({ name, states }) {
    const modules = await Promise.all([live(`${name}.js`), live(`built/${name}.js`)]);
    return modules.map((figure) => ({
      names: Object.keys(figure).sort(), renders: typeof figure.default.render,
      told: figure.compute ? states.map((state) => {
        const current = figure.compute(state, null, {});
        return [figure.summarize(current), figure.tell(current)];
      }) : null,
    }));
  },

  async saddle(fixtures) {
    const [model, figure] = [await live("model.js"), await live("saddle_map.js")];
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
    return {
      runs, facts,
      parameters: fixtures.parameters.map((options) => model.pgdParameters(options)),
      escapes: fixtures.escapes.map((options) => tell(model.predictedEscape(options))),
      sizes: fixtures.sizes.map(({ steps, ...options }) =>
        steps.map((j) => model.predictedSize(j, options))),
      balls: fixtures.balls.map(([normals, u]) => model.uniformBall(normals, u)),
      uniforms: Array.from({ length: 4000 }, uniform),
      normals: Array.from({ length: 4000 }, () => model.normalPair(uniform)),
      kicks: Array.from({ length: 4000 }, model.ballFrom(fixtures.seed)),
      shown: fixtures.shown.map((state) => {
        const s = figure.compute(state);
        return { summary: figure.tell(s), said: figure.summarize(s), kmax: s.kmax,
                 escape_gd: s.gd.escape, predicted: tell(s.gd.predicted),
                 escape_pgd: s.pgd.escape, predicted_pgd: tell(s.pgd.predicted) };
      }),
    };
  },

  async budget({ settings, numbers, seconds, ratios, shown, values, bounds }) {
    const [model, figure] = [await live("budget_model.js"), await live("budget.js")];
    return {
      rows: settings.map((s) => model.budget(s)),
      constants: settings.map((s) => [model.jin2017(s), model.jin2021(s), model.alpay2025(s),
                                      model.episode(s), model.certified(s)]),
      gradients: settings.map((s) => model.gradients(s)),
      counts: numbers.map(model.count), durations: seconds.map(model.duration),
      endless: [model.count(Infinity), model.duration(Infinity), model.count(null)],
      times: [2e-9, 1e-5, 0.0042, 86400, 1e13].map(figure.time),
      ratios: ratios.map(model.gammaRatio), ulps: values.map(model.ulp),
      warnings: values.flatMap((v) =>
        [true, false].map((tested) => model.decreaseWarning(3.9 * model.ulp(v), v, tested))),
      fine: values.map((v) => model.decreaseWarning(4 * model.ulp(v), v, true)),
      proved: bounds.map((rows) => model.proved(rows).map((row) => row.method)),
      methods: model.METHODS, open: model.OPEN, authors: figure.AUTHORS,
      shown: shown.map((s) => {
        const c = figure.compute(s);
        return { summary: figure.tell(c), said: figure.summarize(c), finer: c.finer, curve: c.curve,
                 taken: c.rows?.map((row) => row.taken) ?? [] };
      }),
    };
  },

  async noise(fixtures) {
    const figure = await live("noise.js");
    const walks = ({ steps, seeds, s, ...state }) => Array.from({ length: seeds }, (_, seed) =>
      figure.drawRuns({ seed, dim: state.dim })
        .map((draws) => figure.walk(draws, s, state, { threshold: 1, grad_norm: 2 })))
      .flat().map((points) => steps.map((k) => [points[k].size, points[k].seen, points[k].x1]));
    let earlier = null;
    return {
      below: fixtures.below.map((given) => figure.chiBelow(...given)),
      quantiles: fixtures.quantiles.map((given) => figure.chiQuantile(...given)),
      rules: fixtures.rules.map((state) => [figure.thresholdOf(state), figure.ownBatch(state)]),
      draws: fixtures.draws.map(([dim, norm, s]) =>
        Array.from(figure.norms(figure.drawNoise({ seed: 5, dim })[1], norm, s))),
      walks: fixtures.walks.map(walks),
      shown: fixtures.shown.map((state) => {
        const p = figure.compute(state, earlier);
        earlier = p;
        return { runDraws: p.runDraws, runs: p.runs, threshold: p.threshold, missed: p.missed,
                 alarms: p.alarms, predictedMissed: p.predictedMissed,
                 predictedAlarm: p.predictedAlarm, needed: p.needed,
                 neededThreshold: p.neededThreshold, near: p.near, noticed: p.noticed,
                 atSaddle: Array.from(p.atSaddle), atLarge: Array.from(p.atLarge),
                 summary: figure.tell(p), said: figure.summarize(p), axis: figure.axisOf(p),
                 bars: { ...p.bars, panels: p.bars.panels.map((panel) =>
                   ({ ...panel, counts: Array.from(panel.counts) })) } };
      }),
    };
  },

  async ravine(fixtures) {
    const [model, figure] = [await live("ravine_model.js"), await live("ravine.js")];
    return {
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
                 scale: figure.scaleAt(p, state.maxiter), summary: figure.tell(p), said: figure.summarize(p),
                 panels: figure.panelsOf(p).map(({ lines, laws, floor }) =>
                   [lines.length, laws.length, floor && floor.value]) };
      }),
      presets: figure.PRESETS,
    };
  },
  async episode(fixtures) {
    const model = await live("episode_model.js");
    const figure = await live("episode.js");
    return {
      below: fixtures.below.map(([s, dim]) => model.coordinateBelow(s, dim)),
      quantiles: fixtures.quantiles.map(([prob, dim]) => model.coordinateQuantile(prob, dim)),
      draws: fixtures.draws.map((state) => {
        const coordinates = model.drawCoordinates(state);
        return Array.from({ length: state.runs }, (_, i) => coordinates.at(i));
      }),
      escapes: fixtures.escapes.map(({ x1, ...options }) =>
        x1.map((x) => tell(model.escapeTime(x, options)))),
      shown: fixtures.shown.map(({ steps, ...state }) => {
        const p = model.compute(state);
        const [sizes, medians] = [[], []];
        for (let n = 1; n <= 20; n += 1) {
          p.batch.grow(n);
          medians.push(model.count(p, n).median);
        }
        for (let more = true; more;) {
          more = p.batch.grow(Infinity, 1e4); // a piece of what a frame may take
          sizes.push(p.batch.done);
        }
        const counts = model.count(p, p.runs);
        return {
          sizes, medians, ell: p.ell, step_size: p.stepSize, exit: p.exit, radius: p.theoryRadius,
          deadline: p.deadline, median: p.median, length: p.episodeLength, kmax: p.kmax, bin: p.bin,
          theory_deadline: p.theoryDeadline, x1: p.x1, escape: tell(p.escape), last: p.points.at(-1),
          out: p.out, band: steps.map((t) => p.band.map((x) => p.after(x, t))),
          inside: steps.map((t) => p.inside(t)), law: p.law, edges: p.edges,
          times: Array.from(p.batch.times), measured_median: counts.median, beyond: counts.beyond,
          measured_late: counts.share, all: Array.from(counts.all), late: Array.from(counts.late),
          summary: figure.tell(p), said: figure.summarize(p),
          again: model.compute({ ...state, draw: 3 }, p).batch === p.batch
            && model.compute({ ...state, seed: 3 }, p).batch.done === 0,
        };
      }),
    };
  },
  async staircase({ chains, predictions, runs, shown }) {
    const [model, figure] = [await live("staircase_model.js"), await live("staircase.js")];
    return {
      chains: chains.map(([w, activation]) => {
        const g = new Float64Array(w.length);
        return [model.chain(w.length, activation)(w, g), Array.from(g)];
      }),
      predictions: predictions.map(([state, r, L, s]) =>
        [model.predicted(state, r, L, s), model.leading(state, r, s)]),
      runs: runs.map(([state, s, w0, times]) => {
        const run = model.grow(state, s, Float64Array.from(w0));
        return { half: run.half, at: times.map((t) => model.strengthAt(run, t)), steps: run.t.length };
      }),
      shown: shown.map(({ frames, ...state }) => {
        const p = model.compute(state);
        const { r, modes, measured, expected, ratios, law, end, first, unit, gradient, plateaus } = p;
        const times = frames.map((at) => model.timeOf(p, at));
        const strengths = times.map((t) => model.strengthsAt(p, t));
        return { r, modes, measured, expected, ratios, law, end, first, unit, gradient, plateaus, times,
                 strengths, losses: strengths.map((v) => model.lossOf(modes, v)),
                 summary: figure.tell(p), said: figure.summarize(p) };
      }),
    };
  },
  async race(fixtures) {
    const [model, order] = [await live("ravine_model.js"), await live("order_aware.js")];
    const [race, figure] = [await live("race_model.js"), await live("race.js")];
    return {
      values: fixtures.values.map(({ points, ...given }) => {
        const course = model.courseOf(given);
        return points.map((x) => {
          const g = new Float64Array(x.length);
          return [course.evaluate(Float64Array.from(x), g), Array.from(g)];
        });
      }),
      shown: fixtures.shown.map(({ keep, ...state }) => {
        const p = race.compute(state);
        const waits = [figure.summarize(p), figure.tell(p), race.ranking(p, race.headOf(p))];
        race.advance(p, 17); // in two pieces, as a page does
        const early = race.ranking(p, 17);
        const soon = figure.summarize(p, 17);
        race.advance(p, state.maxiter);
        const rows = race.ranking(p, state.maxiter);
        const { eta, mu, top, norm } = p.course;
        const other = race.compute({ ...state, epoch_length: state.epoch_length + 1 }, p);
        return {
          eta, mu, top, norm, x0: p.x0, growth: p.growth, floor: p.floor, early, done: p.done,
          rows: rows.map((row) => ({ ...row, least: tell(row.least) })), stops: p.stops,
          runs: Object.fromEntries(p.racers.map(({ name, f, n, jumps, done }) =>
            [name, { f: Array.from(f.slice(0, Math.min(n, keep ?? n)), tell), n, jumps, done }])),
          law: race.predict(p), summary: figure.tell(p), said: [figure.summarize(p), soon, waits[0]],
          waits, heads: [race.headOf(p, 9), race.headOf(p)],
          stairs: race.stairs(p.racers[0], 60, (i) => 1.5 * i, 50),
          kept: other.racers.map((racer, i) => racer === p.racers[i]),
          fresh: ["condition", "maxiter", "seed"].every((key) =>
            race.compute({ ...state, [key]: state[key] + 1 }, p).racers.every((racer, i) => racer !== p.racers[i])),
        };
      }),
      // The order-aware method alone, which may not know f*.
      ordered: fixtures.ordered.map(({ known, ...state }) => {
        const { course, x0 } = race.compute(state);
        const racer = new model.Racer("order", course, state, x0, (x, call, of, given) =>
          order.orderAware(x, call, of, { ...given, fStar: known ? 0 : -Infinity }));
        racer.advance(state.maxiter);
        const { f, n, jumps, failed } = racer;
        return { x0, f: Array.from(f.slice(0, n), tell), jumps, failed };
      }),
      eigen: fixtures.eigen.map(([diagonal, beside]) => order.eigen(diagonal, beside)
        .map(({ value, vector }) => [value, Array.from(vector)])),
      words: fixtures.words.map(([ends, lines, frame]) => race.placeWords(ends, lines, frame)),
            presets: figure.PRESETS,
      // Of each preset, run to its end: of GDPolyak with growing K, the calls of its long steps with
      // its values there, and its calls to the finishes.
      told: Object.fromEntries(Object.entries(figure.PRESETS).map(([name, changes]) => {
        const p = race.compute({ ...fixtures.shown[0], ...changes });
        race.advance(p, p.maxiter);
        const { jumps, f, n } = p.racers.find((racer) => racer.name === "growing");
        const rows = race.ranking(p, p.maxiter);
        return [name, { law: race.predict(p), said: figure.summarize(p),
          long: jumps.filter((k) => k < n).map((k) => f[k]),
          rows: Object.fromEntries(rows.map((row) => [row.name, row.calls])) }];
      })),
    };
  },
};

const found = await figures[process.argv[2]](JSON.parse(readFileSync(0, "utf8")));
process.stdout.write(JSON.stringify(found));
