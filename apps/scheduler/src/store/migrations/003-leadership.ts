/** Who leads: each new holder of the lead counts one further, and what an earlier one still writes is refused. */
export const LEADERSHIP = `
CREATE TABLE leadership (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  epoch bigint NOT NULL,
  since timestamptz NOT NULL DEFAULT now()
);
INSERT INTO leadership (epoch) VALUES (0);
`;
