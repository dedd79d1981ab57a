import { execFile } from "node:child_process";
import { expect, test } from "vitest";

const MODULE = new URL("./end-process.ts", import.meta.url).href;

/** The exit code of a program, and what it wrote. */
const run = (program: string): Promise<{ readonly code: number; readonly out: string; readonly err: string }> =>
  new Promise((resolve) => {
    const text = `const { endProcess } = await import(${JSON.stringify(MODULE)}); ${program}`;
    execFile(process.execPath, ["--input-type=module", "-e", text], (error, out, err) =>
      resolve({ code: typeof error?.code === "number" ? error.code : 0, out, err }),
    );
  });

test("it ends with the code, with timers and servers still open, and nothing is lost that was written", async () => {
  const open = "setInterval(() => undefined, 1000); (await import('node:net')).createServer().listen(0);";
  expect(await run(`${open} process.stdout.write("x".repeat(200_000)); endProcess(3);`)).toEqual({
    code: 3,
    out: "x".repeat(200_000),
    err: "",
  });
});

test("whoever listens for the end hears of it once", async () => {
  expect(await run(`process.on("exit", (code) => console.log("ends with", code)); endProcess(0);`)).toEqual({
    code: 0,
    out: "ends with 0\n",
    err: "",
  });
});

test.each(["/no/such/shell", "/etc/passwd"])("without a shell that can be executed (%s) it ends as well", async (shell) => {
  expect(await run(`process.on("exit", (code) => console.log("ends with", code)); endProcess(3, ${JSON.stringify(shell)});`)).toEqual({
    code: 3,
    out: "ends with 3\n",
    err: "",
  });
});
