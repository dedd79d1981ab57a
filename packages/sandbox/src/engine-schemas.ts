import { z } from "zod";

const list = <T extends z.ZodType>(item: T) => z.array(item).nullish();
const names = list(z.string()).transform((value) => value ?? []);
const record = z.record(z.string(), z.string()).nullish();

export const versionSchema = z.object({ Version: z.string(), ApiVersion: z.string() });

export const infoSchema = z.object({
  ID: z.string().default(""),
  Runtimes: z.record(z.string(), z.object({ runtimeArgs: list(z.string()) })).nullish(),
  DefaultRuntime: z.string().default("runc"),
  CgroupVersion: z.string().default("1"),
  CgroupDriver: z.string().default("cgroupfs"),
  NCPU: z.number(),
  MemTotal: z.number(),
  Architecture: z.string(),
  OSType: z.string().default("linux"),
  MemoryLimit: z.boolean().default(false),
  SwapLimit: z.boolean().default(false),
  PidsLimit: z.boolean().default(false),
  CpuCfsQuota: z.boolean().default(false),
  SecurityOptions: names,
});
export type EngineInfo = z.infer<typeof infoSchema>;

export const stateSchema = z.object({
  Status: z.string(),
  Running: z.boolean(),
  Paused: z.boolean(),
  OOMKilled: z.boolean(),
  ExitCode: z.number(),
  StartedAt: z.string(),
  FinishedAt: z.string(),
});
export type ContainerState = z.infer<typeof stateSchema>;

export const containerSchema = z.object({
  Id: z.string(),
  Name: z.string(),
  State: stateSchema,
  Config: z.object({ Labels: record }),
  SizeRw: z.number().nullish(),
});
export type ContainerDetails = z.infer<typeof containerSchema>;

export const createdSchema = z.object({ Id: z.string() });

/** What the kernel counts for a running container. */
export const statsSchema = z.object({
  read: z.string(),
  pids_stats: z.object({ limit: z.number().nullish() }).nullish(),
  cpu_stats: z
    .object({
      cpu_usage: z.object({ total_usage: z.number() }).nullish(),
    })
    .nullish(),
});

export const containerListSchema = z.array(
  z.object({ Id: z.string(), Names: z.array(z.string()), Labels: record, State: z.string(), ImageID: z.string() }),
);

export const imageSchema = z.object({
  Id: z.string(),
  RepoTags: names,
  RepoDigests: names,
  Size: z.number(),
  Architecture: z.string().default(""),
  Os: z.string().default(""),
  Config: z.object({ Volumes: z.record(z.string(), z.unknown()).nullish() }).nullish(),
});
export type ImageDetails = z.infer<typeof imageSchema>;

export const networkSchema = z.object({ Id: z.string(), Name: z.string(), Labels: record });
export const networkListSchema = z.array(networkSchema);

/** One line of a pull's progress. */
export const progressSchema = z.object({
  error: z.string().optional(),
  errorDetail: z.object({ message: z.string().optional() }).optional(),
});
