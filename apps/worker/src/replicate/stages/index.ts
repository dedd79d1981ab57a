import type { Stage } from "../decide.ts";
import { compute } from "./compute.ts";
import { contribute } from "./contribute.ts";
import { downloadApp } from "./download-app.ts";
import { downloadData } from "./download-data.ts";
import { purge } from "./purge.ts";
import { reveal } from "./reveal.ts";
import { sealError } from "./seal-error.ts";
import type { StageWork } from "./stage.ts";
import { upload } from "./upload.ts";

export const STAGES: Readonly<Record<Stage, StageWork>> = {
  DOWNLOAD_APP: downloadApp,
  DOWNLOAD_DATA: downloadData,
  COMPUTE: compute,
  SEAL_ERROR: sealError,
  CONTRIBUTE: contribute,
  REVEAL: reveal,
  UPLOAD: upload,
  PURGE: purge,
};
