/** Everything a workerpool remembers. Amounts are numeric (nRLC), chain times are bigint seconds, ids and wallets lower-case hex. */
export const CORE = `
CREATE TABLE chain_cursor (
  name text PRIMARY KEY,
  block_number bigint NOT NULL,
  block_hash text NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE deals (
  id text PRIMARY KEY,
  state text NOT NULL CHECK (state IN ('accepted', 'skipped')),
  reason text,
  requester text NOT NULL,
  app text NOT NULL,
  dataset text NOT NULL,
  pool_owner text NOT NULL,
  pool_price numeric NOT NULL,
  worker_stake numeric NOT NULL,
  trust numeric NOT NULL,
  category bigint NOT NULL,
  period bigint NOT NULL,
  tag text NOT NULL,
  callback text NOT NULL,
  params text NOT NULL,
  start_time bigint NOT NULL,
  bot_first bigint NOT NULL,
  bot_size bigint NOT NULL,
  block_number bigint,
  tx_hash text,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE tasks (
  id text PRIMARY KEY,
  deal_id text NOT NULL REFERENCES deals (id),
  idx bigint NOT NULL,
  status text NOT NULL,
  open boolean NOT NULL DEFAULT false,
  ended_at timestamptz,
  closed boolean NOT NULL DEFAULT false,
  needs_tee text,
  needs_gpu boolean NOT NULL,
  trust numeric NOT NULL,
  worker_stake numeric NOT NULL,
  period bigint NOT NULL,
  contribution_deadline bigint NOT NULL,
  final_deadline bigint NOT NULL,
  reveal_deadline bigint,
  init_block bigint,
  consensus text,
  consensus_block bigint,
  enclave_challenge text,
  result_link text,
  callback_data text,
  failure text,
  wake_chain bigint,
  wake_wall timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (deal_id, idx)
);
CREATE INDEX tasks_open ON tasks (contribution_deadline) WHERE open;
CREATE INDEX tasks_wake_chain ON tasks (wake_chain) WHERE NOT closed;
CREATE INDEX tasks_wake_wall ON tasks (wake_wall) WHERE NOT closed;
CREATE INDEX tasks_recent ON tasks (created_at DESC, id);

CREATE TABLE task_statuses (
  task_id text NOT NULL REFERENCES tasks (id),
  n integer NOT NULL,
  status text NOT NULL,
  cause text,
  at timestamptz NOT NULL DEFAULT now(),
  block_number bigint,
  tx_hash text,
  PRIMARY KEY (task_id, n)
);

CREATE TABLE workers (
  wallet text PRIMARY KEY,
  name text NOT NULL,
  os text NOT NULL,
  cpu text NOT NULL,
  cpu_nb integer NOT NULL,
  memory_gb double precision NOT NULL,
  gpu boolean NOT NULL,
  tee boolean NOT NULL,
  tdx boolean NOT NULL,
  max_tasks integer NOT NULL,
  lost boolean NOT NULL DEFAULT false,
  recovering boolean NOT NULL DEFAULT true,
  registered_at timestamptz NOT NULL DEFAULT now(),
  last_alive timestamptz NOT NULL DEFAULT now(),
  last_demand timestamptz
);
CREATE INDEX workers_alive ON workers (last_alive) WHERE NOT lost;

CREATE TABLE replicates (
  task_id text NOT NULL REFERENCES tasks (id),
  wallet text NOT NULL,
  status text NOT NULL,
  cause text,
  relevant text NOT NULL,
  worker_status text NOT NULL,
  worker_seq integer NOT NULL DEFAULT 0,
  history integer NOT NULL DEFAULT 0,
  tries integer NOT NULL DEFAULT 1,
  slot boolean NOT NULL DEFAULT true,
  weight numeric NOT NULL,
  stake numeric NOT NULL,
  exit_code integer,
  result_link text,
  callback_data text,
  upload_tries integer NOT NULL DEFAULT 0,
  told text,
  told_at timestamptz,
  assigned_at timestamptz NOT NULL DEFAULT now(),
  changed_at timestamptz NOT NULL DEFAULT now(),
  changed_chain bigint NOT NULL,
  PRIMARY KEY (task_id, wallet)
);
CREATE INDEX replicates_wallet ON replicates (wallet, task_id);
CREATE INDEX replicates_slots ON replicates (wallet) WHERE slot;

CREATE TABLE replicate_statuses (
  task_id text NOT NULL,
  wallet text NOT NULL,
  n integer NOT NULL,
  status text NOT NULL,
  cause text,
  set_by text NOT NULL CHECK (set_by IN ('worker', 'scheduler')),
  seq integer,
  late boolean NOT NULL DEFAULT false,
  at timestamptz NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT now(),
  details jsonb,
  PRIMARY KEY (task_id, wallet, n),
  FOREIGN KEY (task_id, wallet) REFERENCES replicates (task_id, wallet)
);
CREATE UNIQUE INDEX replicate_statuses_seq ON replicate_statuses (task_id, wallet, seq) WHERE seq IS NOT NULL;

CREATE TABLE replicate_logs (
  task_id text NOT NULL,
  wallet text NOT NULL,
  stdout text NOT NULL,
  stderr text NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (task_id, wallet)
);

CREATE TABLE contributions (
  task_id text NOT NULL REFERENCES tasks (id),
  wallet text NOT NULL,
  status text NOT NULL,
  result_hash text NOT NULL,
  weight numeric NOT NULL,
  seen_at timestamptz NOT NULL DEFAULT now(),
  proved_at timestamptz,
  PRIMARY KEY (task_id, wallet)
);

CREATE TABLE uploads (
  task_id text NOT NULL REFERENCES tasks (id),
  n integer NOT NULL,
  wallet text NOT NULL,
  requested_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz,
  outcome text,
  PRIMARY KEY (task_id, n)
);

CREATE TABLE effects (
  id text PRIMARY KEY,
  task_id text NOT NULL REFERENCES tasks (id),
  kind text NOT NULL CHECK (kind IN ('initialize', 'finalize', 'reopen', 'claim')),
  n integer NOT NULL,
  call jsonb NOT NULL,
  state text NOT NULL CHECK (state IN ('wanted', 'settled')),
  outcome text,
  reason text,
  tx_hash text,
  not_before timestamptz NOT NULL DEFAULT now(),
  created_at timestamptz NOT NULL DEFAULT now(),
  settled_at timestamptz
);
CREATE UNIQUE INDEX effects_one_wanted ON effects (task_id, kind) WHERE state = 'wanted';
CREATE INDEX effects_wanted ON effects (not_before) WHERE state = 'wanted';
CREATE INDEX effects_task ON effects (task_id, kind);
`;
