// Judges answers by the tables of exercises: node answers.mjs answers.js fixtures.json writes what
// the box says to each. The comparison itself is in test_answer_box.py.
import { readFileSync } from "node:fs";

const [, , modulePath, fixturesPath] = process.argv;
const { judge, parse, shown } = await import(
  `data:text/javascript;base64,${readFileSync(modulePath).toString("base64")}`);
const { exercises, numbers, texts, words } = JSON.parse(readFileSync(fixturesPath, "utf8"));

process.stdout.write(JSON.stringify({
  judged: exercises.map(({ table, answers }) => answers.map((answer) => {
    const { correct, message } = judge(table, answer);
    return [correct, message];
  })),
  read: texts.map((text) => parse(text, words)),
  shown: numbers.map(([x, spec]) => shown(x, spec)),
}));
