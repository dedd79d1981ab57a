import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

/** Where loops run for weeks. Commands that a person waits for, helpers of tests and the page in the browser are left out. */
const PRODUCT = ["packages/*/src/**/*.ts", "apps/*/src/**/*.ts"];
const ELSEWHERE = /\.test\.ts$|^packages\/testkit\/|\/test\/|^apps\/worker\/src\/page\/client\/|\/generated\/|conformance/;
const EXPLANATION = /\/\/ Bounded: .{10,}/;

export interface LoopFault {
  readonly file: string;
  readonly line: number;
  readonly mend: string;
}

const SILENT = 'let it beat, or say above it why it ends ("// Bounded: ...")';
const OUTLIVES = "return await: without it the scope is over before what it returns has begun";

type Loop = ts.ForStatement | ts.WhileStatement | ts.DoStatement;

const isLoop = (node: ts.Node): node is Loop => ts.isForStatement(node) || ts.isWhileStatement(node) || ts.isDoStatement(node);

/** Whether nothing but a stop ends it: no condition, `true`, or one that asks only whether to stop. */
function isEndless(loop: Loop): boolean {
  const condition = ts.isForStatement(loop) ? loop.condition : loop.expression;
  if (condition === undefined || condition.kind === ts.SyntaxKind.TrueKeyword) return true;
  return /\baborted\b|closed\b|stopped\b|\bpause\(/.test(condition.getText());
}

/** Whether the body matches, without looking into functions that are only made there. */
function holds(node: ts.Node, matches: (inner: ts.Node) => boolean): boolean {
  if (matches(node)) return true;
  if (ts.isFunctionLike(node)) return false;
  return ts.forEachChild(node, (inner) => (holds(inner, matches) ? true : undefined)) === true;
}

const isBeat = (node: ts.Node): boolean =>
  ts.isCallExpression(node) &&
  ((ts.isPropertyAccessExpression(node.expression) && node.expression.name.text === "beat") ||
    (ts.isIdentifier(node.expression) && node.expression.text === "beat"));

const isExplained = (loop: Loop, text: string): boolean =>
  (ts.getLeadingCommentRanges(text, loop.getFullStart()) ?? []).some(({ pos, end }) => EXPLANATION.test(text.slice(pos, end)));

/** Names of the scopes that end with the blocks around a node, up to its function. */
function scopesAround(node: ts.Node): ReadonlySet<string> {
  const names = new Set<string>();
  for (let around = node.parent; around !== undefined && !ts.isFunctionLike(around); around = around.parent) {
    if (!ts.isBlock(around)) continue;
    for (const statement of around.statements)
      if (ts.isVariableStatement(statement) && (statement.declarationList.flags & ts.NodeFlags.BlockScoped) === ts.NodeFlags.Using)
        for (const { name } of statement.declarationList.declarations) names.add(name.getText());
  }
  return names;
}

/** A call that is given the signal of a scope around it and is returned without being awaited. */
function returnsFromScope(node: ts.ReturnStatement): boolean {
  const { expression } = node;
  if (expression === undefined || !ts.isCallExpression(expression)) return false;
  const scopes = scopesAround(node);
  return scopes.size > 0 && holds(expression, (inner) => ts.isIdentifier(inner) && scopes.has(inner.text));
}

/**
 * Endless loops of one file that wait for something without saying that they live: each must beat (see the watchdog of packages/service), or
 * carry a comment `// Bounded: ` above it that says why it ends. Also calls with the signal of a `using` scope that are returned without an await.
 */
export function silentLoops(file: string, text: string): readonly LoopFault[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const faults: LoopFault[] = [];
  const lineOf = (node: ts.Node): number => source.getLineAndCharacterOfPosition(node.getStart()).line + 1;
  const visit = (node: ts.Node): void => {
    if (isLoop(node) && isEndless(node) && holds(node, ts.isAwaitExpression) && !holds(node, isBeat) && !isExplained(node, text))
      faults.push({ file, line: lineOf(node), mend: SILENT });
    if (ts.isReturnStatement(node) && returnsFromScope(node)) faults.push({ file, line: lineOf(node), mend: OUTLIVES });
    ts.forEachChild(node, visit);
  };
  visit(source);
  return faults;
}

/** All of them below a checkout, and how many files were looked at. */
export function checkLoops(root: string): { readonly files: number; readonly faults: readonly LoopFault[] } {
  const files = globSync(PRODUCT, { cwd: root }).filter((file) => !file.includes("node_modules") && !ELSEWHERE.test(file));
  return { files: files.length, faults: files.sort().flatMap((file) => silentLoops(file, readFileSync(join(root, file), "utf8"))) };
}
