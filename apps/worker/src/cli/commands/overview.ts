import type { Context } from "../context.ts";
import type { Report } from "../report.ts";
import { status } from "./status.ts";

const HELP = `iexec-worker computes tasks of the iExec network for RLC.

  iexec-worker init     set this machine up
  iexec-worker start    run the worker

All commands: iexec-worker --help
`;

/** What a bare `iexec-worker` shows: short help, then the state of this machine. */
export async function overview(context: Context): Promise<Report> {
  const now = await status(context);
  return { ...now, text: (style) => (style.plain ? now.text(style) : `${HELP}\n${now.text(style)}`) };
}
