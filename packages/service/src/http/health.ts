import { CodedError } from "../errors/coded-error.ts";

export type HealthStatus = "UP" | "DOWN";

export interface ComponentHealth {
  readonly status: HealthStatus;
  /** Plain values for the operator; no secrets. */
  readonly details?: Readonly<Record<string, string | number | boolean>>;
}

export interface HealthReport {
  readonly status: HealthStatus;
  readonly components: Readonly<Record<string, ComponentHealth>>;
}

export interface Health {
  /** Adds a part; a throw or silence longer than the time limit counts as DOWN. Returns a function that removes it. */
  register(component: string, check: (signal: AbortSignal) => Promise<ComponentHealth> | ComponentHealth): () => void;
  /** DOWN when any part is. Never rejects. */
  report(): Promise<HealthReport>;
}

type Check = (signal: AbortSignal) => Promise<ComponentHealth> | ComponentHealth;

async function run(check: Check, timeoutMs: number): Promise<ComponentHealth> {
  const signal = AbortSignal.timeout(timeoutMs);
  const tooLate = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  try {
    return await Promise.race([Promise.resolve(signal).then(check), tooLate]);
  } catch (thrown) {
    const { code, message } = CodedError.from(thrown);
    return { status: "DOWN", details: { code, message } };
  }
}

/** Health of a process as the sum of its parts, in the shape that Spring's actuator made usual. */
export function createHealth({ timeoutMs = 3_000 }: { readonly timeoutMs?: number } = {}): Health {
  const checks = new Map<string, Check>();
  return {
    register(component, check) {
      checks.set(component, check);
      return () => {
        if (checks.get(component) === check) checks.delete(component);
      };
    },
    async report() {
      const entries = await Promise.all([...checks].map(async ([name, check]) => [name, await run(check, timeoutMs)] as const));
      const status = entries.every(([, { status: each }]) => each === "UP") ? "UP" : "DOWN";
      return { status, components: Object.fromEntries(entries) };
    },
  };
}
