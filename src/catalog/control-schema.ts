/** The tables of `control.sqlite`, one migration per released schema version. */

/** Applied in order; `PRAGMA user_version` counts how many have been. Never edit one that was released. */
export const CONTROL_MIGRATIONS: readonly string[] = [
  `
  -- One row. Counts decisions, so that everybody who has the file open sees that there was one; what is
  -- merely noted, such as refusals, does not count.
  CREATE TABLE revision (number INTEGER NOT NULL) STRICT;
  INSERT INTO revision (number) VALUES (1);

  -- Times are ms since the epoch.
  CREATE TABLE rule (
    place INTEGER PRIMARY KEY,              -- in the order in which they were added
    id TEXT NOT NULL UNIQUE,
    effect TEXT NOT NULL,                   -- allow, deny
    pattern TEXT NOT NULL,
    reason TEXT,
    owner TEXT,
    created_at INTEGER,
    expires_at INTEGER,
    min_age INTEGER NOT NULL                -- ms
  ) STRICT;

  CREATE TABLE user (
    name TEXT PRIMARY KEY,
    password_hash TEXT NOT NULL,
    grants TEXT NOT NULL,                   -- JSON: [{ role, pattern }]
    created_at INTEGER NOT NULL,
    password_set_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE api_token (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    secret_hash TEXT NOT NULL,
    grants TEXT NOT NULL,                   -- JSON: [{ role, pattern }]
    owner TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    is_first INTEGER NOT NULL               -- 1: made at the first start
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE approval (
    upstream TEXT NOT NULL,
    repository TEXT NOT NULL,
    digest TEXT NOT NULL,
    owner TEXT NOT NULL,
    reason TEXT,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (upstream, repository, digest)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE frozen_tag (
    upstream TEXT NOT NULL,
    repository TEXT NOT NULL,
    tag TEXT NOT NULL,
    digest TEXT NOT NULL,
    owner TEXT NOT NULL,
    reason TEXT,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (upstream, repository, tag)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE request (
    id TEXT PRIMARY KEY,
    caller TEXT NOT NULL,                   -- whose limit it counts towards
    user TEXT,
    address TEXT NOT NULL,
    name TEXT NOT NULL,
    tag TEXT,
    reason TEXT NOT NULL,                   -- rule, right
    user_agent TEXT,
    count INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    state TEXT NOT NULL,                    -- open, approved, dismissed
    settled_at INTEGER NOT NULL             -- ms since the epoch; 0: open
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX request_caller ON request (caller, last_at);

  -- How many requests of each caller there are, and in all (one row): each refusal asks for that.
  CREATE TABLE caller (
    caller TEXT PRIMARY KEY,
    requests INTEGER NOT NULL,
    last_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX caller_requests ON caller (requests DESC, last_at);
  CREATE TABLE request_total (requests INTEGER NOT NULL) STRICT;
  INSERT INTO request_total (requests) VALUES (0);
  CREATE TRIGGER request_added AFTER INSERT ON request BEGIN
    UPDATE request_total SET requests = requests + 1;
    INSERT INTO caller (caller, requests, last_at) VALUES (new.caller, 1, new.last_at)
      ON CONFLICT DO UPDATE SET requests = requests + 1, last_at = max(last_at, new.last_at);
  END;
  CREATE TRIGGER request_repeated AFTER UPDATE OF last_at ON request BEGIN
    UPDATE caller SET last_at = max(last_at, new.last_at) WHERE caller = new.caller;
  END;
  CREATE TRIGGER request_removed AFTER DELETE ON request BEGIN
    UPDATE request_total SET requests = requests - 1;
    UPDATE caller SET requests = requests - 1 WHERE caller = old.caller;
    DELETE FROM caller WHERE caller = old.caller AND requests = 0;
  END;

  -- Each entry carries the hash of the one before.
  CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY,           -- from 1, without gaps
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    address TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    before TEXT NOT NULL,                   -- JSON
    after TEXT NOT NULL,                    -- JSON
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL
  ) STRICT;

  CREATE TABLE secret (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
]
