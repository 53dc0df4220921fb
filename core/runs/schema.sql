-- run.db: what the worker tells (status, iterations, pictures, looks, events) and what it is asked (commands).
CREATE TABLE IF NOT EXISTS status (           -- one row; the worker beats it at least every second
    id INTEGER PRIMARY KEY CHECK (id = 0),
    state TEXT NOT NULL,                      -- see runs.database.STATES
    message TEXT NOT NULL DEFAULT '',         -- one sentence for a person
    remedy TEXT NOT NULL DEFAULT '',
    details TEXT NOT NULL DEFAULT '',         -- last words: traceback tail
    iteration INTEGER NOT NULL DEFAULT 0,     -- finished iterations
    iterations INTEGER NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0,          -- of the phase under way, e.g. 112 of 300 base pictures
    total INTEGER NOT NULL DEFAULT 0,
    phase TEXT NOT NULL DEFAULT '',
    pid INTEGER,
    process_started REAL,                     -- start time of pid, so that a reused number is not mistaken for it
    heartbeat REAL NOT NULL DEFAULT 0,
    memory_used INTEGER NOT NULL DEFAULT 0,   -- bytes, GPU or RAM
    memory_total INTEGER NOT NULL DEFAULT 0,
    device TEXT NOT NULL DEFAULT '',
    saved_at INTEGER NOT NULL DEFAULT 0       -- newest checkpoint's iteration
);
CREATE TABLE IF NOT EXISTS prompts (
    prompt INTEGER PRIMARY KEY,               -- index in the config's list; equal texts stay apart
    text TEXT NOT NULL,
    mapped INTEGER NOT NULL DEFAULT 0         -- 1 if looks and the map are fixed for it
);
CREATE TABLE IF NOT EXISTS iterations (
    iteration INTEGER PRIMARY KEY,            -- 1-based; 0 is the base measure
    time REAL NOT NULL,
    seconds REAL NOT NULL,
    metrics TEXT NOT NULL                     -- JSON, names in runs.database.METRICS
);
CREATE TABLE IF NOT EXISTS pictures (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,                       -- base | train | sample
    iteration INTEGER NOT NULL,               -- 0 for base
    prompt INTEGER NOT NULL,
    position INTEGER NOT NULL,                -- place in the group
    seed INTEGER NOT NULL,
    reward REAL,                              -- weighted sum on the base's scale (0 = base mean, 1 = one base spread)
    scores TEXT NOT NULL DEFAULT '{}',        -- JSON raw value per reward name
    bonus REAL,                               -- creative bonus E, null if off
    cluster INTEGER,                          -- spectral cluster of this iteration; numbers mean nothing across iterations
    look INTEGER,                             -- 0 = A ...; -1 = new
    pca_x REAL, pca_y REAL,
    umap_x REAL, umap_y REAL,                 -- null until the map is laid out
    embedding BLOB NOT NULL,                  -- float16 little-endian
    thumb BLOB NOT NULL                       -- WebP
);
CREATE INDEX IF NOT EXISTS pictures_place ON pictures (kind, prompt, iteration);
CREATE TABLE IF NOT EXISTS looks (
    prompt INTEGER NOT NULL,
    look INTEGER NOT NULL,                    -- 0 = A = largest share
    share REAL NOT NULL,                      -- of the base pictures
    picture INTEGER NOT NULL,                 -- its most typical base picture
    PRIMARY KEY (prompt, look)
);
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    iteration INTEGER NOT NULL,               -- the first iteration that it affects
    kind TEXT NOT NULL,                       -- dial | state | checkpoint | map | sample | warning | alarm | failure | branch | rollback
    body TEXT NOT NULL                        -- JSON
);
CREATE TABLE IF NOT EXISTS commands (
    id INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    kind TEXT NOT NULL,                       -- pause | resume | stop | set | sample
    body TEXT NOT NULL,                       -- JSON
    taken REAL,                               -- when the worker took it
    answer TEXT                               -- 'ok', 'undone' or the error sentence
);
