export type ReplicateStatus = string;
