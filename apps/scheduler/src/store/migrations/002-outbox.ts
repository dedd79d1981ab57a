/** Memory of the transaction queue. `intent_no` gives the order in which intents were opened. */
export const OUTBOX = `
CREATE TABLE tx_outbox (
  id text PRIMARY KEY,
  intent_no bigint GENERATED ALWAYS AS IDENTITY,
  target text NOT NULL,
  data text NOT NULL,
  value numeric,
  gas_floor numeric NOT NULL,
  gas_extra numeric,
  before_time bigint,
  state text NOT NULL,
  settled boolean NOT NULL DEFAULT false,
  nonce bigint UNIQUE,
  gas numeric,
  mined_hash text,
  mined_block bigint,
  gas_paid numeric,
  note text,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);
CREATE INDEX tx_outbox_pending ON tx_outbox (intent_no) WHERE NOT settled;

CREATE TABLE tx_attempts (
  intent_id text NOT NULL REFERENCES tx_outbox (id),
  n integer NOT NULL,
  hash text NOT NULL,
  raw text NOT NULL,
  max_fee numeric NOT NULL,
  max_tip numeric NOT NULL,
  at timestamptz NOT NULL,
  cancels boolean NOT NULL,
  PRIMARY KEY (intent_id, n),
  UNIQUE (intent_id, hash)
);
`;
