/** The tables of the SQLite catalog, one migration per released schema version. */

/** Applied in order; `PRAGMA user_version` counts how many have been. Never edit one that was released. */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE repository (
    id INTEGER PRIMARY KEY,
    upstream TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (upstream, name)
  ) STRICT;

  -- What a tag means now.
  CREATE TABLE tag (
    repository_id INTEGER NOT NULL REFERENCES repository,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    checked_at INTEGER NOT NULL,            -- ms since the epoch
    PRIMARY KEY (repository_id, name)
  ) STRICT, WITHOUT ROWID;

  -- What tags mean or have meant: a rule on tags admits digests that an admitted tag leads to.
  CREATE TABLE tagged (
    repository_id INTEGER NOT NULL REFERENCES repository,
    digest TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (repository_id, digest, name)
  ) STRICT, WITHOUT ROWID;

  -- Which digest belongs to which repository: a digest alone is no permission. A manifest may name
  -- what its repository does not hold, so what upstream has said itself is told apart.
  CREATE TABLE link (
    repository_id INTEGER NOT NULL REFERENCES repository,
    digest TEXT NOT NULL,
    proven INTEGER NOT NULL,                -- 1: upstream said so; 0: only a manifest did
    PRIMARY KEY (repository_id, digest)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE manifest (
    digest TEXT PRIMARY KEY,
    media_type TEXT NOT NULL,
    size INTEGER NOT NULL,                  -- bytes
    subject TEXT
  ) STRICT, WITHOUT ROWID;

  -- Index to manifest, manifest to config and layers, subject to referrer; as the bytes of one of the
  -- two say, so true in every repository.
  CREATE TABLE child (
    digest TEXT NOT NULL,
    parent TEXT NOT NULL,
    size INTEGER,                           -- bytes, as the parent says
    PRIMARY KEY (digest, parent)
  ) STRICT, WITHOUT ROWID;

  -- Subject to referrer as a referrers list says: only its own repository believes it.
  CREATE TABLE referrer (
    repository_id INTEGER NOT NULL REFERENCES repository,
    digest TEXT NOT NULL,
    subject TEXT NOT NULL,
    PRIMARY KEY (repository_id, digest, subject)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE blob (
    digest TEXT PRIMARY KEY,
    size INTEGER NOT NULL,                  -- bytes
    used_at INTEGER NOT NULL                -- ms since the epoch
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX blob_used_at ON blob (used_at);
  `,
  `
  -- A repository that holds a digest is looked for when the digest has to be fetched again.
  CREATE INDEX link_digest ON link (digest);

  -- Told apart from what a manifest contains: an image is whole without what refers to it.
  ALTER TABLE child ADD COLUMN is_referrer INTEGER NOT NULL DEFAULT 0;
  UPDATE child SET is_referrer = 1 WHERE EXISTS (
    SELECT 1 FROM manifest WHERE manifest.digest = child.digest AND manifest.subject = child.parent
  );
  CREATE INDEX child_parent ON child (parent) WHERE is_referrer = 0;

  -- One row. After anything but a clean close the file is checked when it is opened.
  CREATE TABLE last_close (
    clean INTEGER NOT NULL                  -- 1 from closing to opening
  ) STRICT;
  INSERT INTO last_close (clean) VALUES (0);

  -- One row: bytes of all blobs, which every download asks for.
  CREATE TABLE blob_total (bytes INTEGER NOT NULL) STRICT;
  INSERT INTO blob_total (bytes) SELECT coalesce(sum(size), 0) FROM blob;
  CREATE TRIGGER blob_added AFTER INSERT ON blob BEGIN
    UPDATE blob_total SET bytes = bytes + new.size;
  END;
  CREATE TRIGGER blob_removed AFTER DELETE ON blob BEGIN
    UPDATE blob_total SET bytes = bytes - old.size;
  END;
  CREATE TRIGGER blob_resized AFTER UPDATE OF size ON blob BEGIN
    UPDATE blob_total SET bytes = bytes + new.size - old.size;
  END;
  `,
  `
  -- ms since the epoch at which upstream first said so; NULL: before this was noted, or not proven.
  ALTER TABLE link ADD COLUMN seen_at INTEGER;

  -- ms since the epoch at which the tag last came to mean this; 0: before this was noted.
  ALTER TABLE tagged ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
  CREATE INDEX tagged_name ON tagged (repository_id, name, since);
  `,
]
