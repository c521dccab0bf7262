use super::*;

/// What is said of our schema with this change.
fn judged(change: &str) -> Result<(), String> {
    let conn = Connection::open_in_memory().unwrap();
    for step in STEPS {
        conn.execute_batch(step).unwrap();
    }
    conn.execute_batch(change).unwrap_or_else(|error| panic!("{change}: {error}"));
    judge(&conn, Path::new("/a b/w.db")).unwrap()
}

#[test]
fn our_own_schema_is_known_by_its_digest() {
    assert_eq!(digest(ours().unwrap()), OURS, "a step was added: put the new digest there");
    assert_eq!(judged("ANALYZE"), Ok(()));
}

#[test]
fn what_does_little_for_each_row_may_stay() {
    for change in [
        "CREATE TABLE notes (a TEXT, b INT DEFAULT 7)",
        "CREATE TABLE checked (a TEXT CHECK (length(a) < 5)); CREATE VIEW all_jobs AS SELECT * FROM jobs",
        "CREATE VIEW slow AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c",
        "CREATE TABLE notes (a); CREATE TRIGGER t AFTER INSERT ON notes BEGIN DELETE FROM jobs; END",
        "CREATE INDEX i ON jobs (enqueued_ms DESC, queue COLLATE NOCASE)",
        "ALTER TABLE jobs ADD COLUMN note TEXT",
        "CREATE TRIGGER t BEFORE INSERT ON jobs WHEN NEW.queue = 'q' BEGIN SELECT RAISE(ABORT, 'closed'); END",
        "CREATE TRIGGER t BEFORE UPDATE OF value ON stats WHEN NEW.name NOT LIKE 'queue:%' BEGIN SELECT RAISE(IGNORE); END",
        "CREATE TRIGGER \"a;b\" AFTER DELETE ON jobs WHEN CAST(OLD.payload AS TEXT) LIKE '%[1]%' OR OLD.queue IN ('a', 'b')
         BEGIN /* FROM */ SELECT RAISE(FAIL, 'none -- of these'); END",
        "CREATE TABLE seen (what TEXT PRIMARY KEY);
         CREATE TRIGGER t AFTER INSERT ON jobs BEGIN INSERT OR IGNORE INTO seen VALUES ('jobs'); END",
    ] {
        assert_eq!(judged(change), Ok(()), "{change}");
    }
}

#[test]
fn what_can_compute_without_end_is_named_with_what_to_type() {
    const ENDLESS: &str = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT";
    let trigger = |body: &str| format!("CREATE TRIGGER t BEFORE INSERT ON jobs BEGIN {body}; END");
    let when =
        |when: &str| format!("CREATE TRIGGER t BEFORE INSERT ON jobs WHEN {when} BEGIN SELECT RAISE(IGNORE); END");
    let seen = "CREATE TABLE seen (a, b);";
    let all = [
        trigger(
            "SELECT count(*) FROM (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c)",
        ),
        trigger("SELECT RAISE(IGNORE) FROM jobs a, jobs b, jobs c"),
        trigger("SELECT RAISE(IGNORE) WHERE (SELECT 1)"),
        trigger("SELECT RAISE(IGNORE) WHERE length(zeroblob(1000000000))"),
        trigger("SELECT RAISE(IGNORE) WHERE \"randomblob\"(1000000000)"),
        trigger("SELECT 1"),
        trigger("DELETE FROM jobs"),
        trigger("UPDATE stats SET value = 0"),
        trigger("INSERT INTO jobs (queue, position, payload) VALUES ('q', 1, 'x')"),
        when("NEW.payload LIKE '%a%a%a%a%'"),
        when("NEW.payload LIKE NEW.payload"),
        when("NEW.payload GLOB '*a*a*'"),
        when("NEW.payload || NEW.payload || NEW.payload = 1"),
        when("NEW.payload -> NEW.queue"),
        when("NEW.payload IN failed"),
        when("EXISTS (SELECT 1 FROM failed)"),
        when("hex(NEW.payload) = 'a'"),
        format!("{seen} {}", trigger("INSERT INTO seen VALUES (1, 2), (3, 4)")),
        format!("{seen} {}", trigger("INSERT INTO seen VALUES (1, 2); INSERT INTO seen VALUES (3, 4)")),
        format!("{seen} {}", trigger("INSERT INTO seen SELECT 1, 2")),
        format!("{seen} {}", trigger("INSERT INTO seen VALUES (1, (SELECT 2))")),
        format!("{seen} CREATE INDEX i ON seen (hex(a)); {}", trigger("INSERT INTO seen VALUES (1, 2)")),
        format!(
            "{seen} CREATE TRIGGER u BEFORE INSERT ON seen BEGIN DELETE FROM jobs; END; {}",
            trigger("INSERT INTO seen VALUES (1, 2)")
        ),
        format!("CREATE TABLE seen (a CHECK (hex(a))); {}", trigger("INSERT INTO seen VALUES (1)")),
        "CREATE TRIGGER begin BEFORE INSERT ON jobs BEGIN DELETE FROM failed; END".to_owned(),
        format!("DROP TABLE stats; CREATE VIEW stats AS {ENDLESS} x AS name, x AS value FROM c"),
        "DROP TABLE stats; CREATE TABLE stats (name, value AS (hex(name)))".to_owned(),
        "DROP TABLE stats; CREATE TABLE stats (name, value DEFAULT (hex(randomblob(9))))".to_owned(),
        "ALTER TABLE jobs ADD COLUMN long AS (zeroblob(1000000000))".to_owned(),
        "CREATE INDEX i ON jobs (hex(payload))".to_owned(),
        "CREATE INDEX i ON jobs (queue) WHERE hex(payload) = 'a'".to_owned(),
        "CREATE INDEX i ON jobs (payload LIKE queue)".to_owned(),
        "DROP TRIGGER failed_left; CREATE TRIGGER failed_left AFTER DELETE ON failed BEGIN DELETE FROM jobs; END"
            .to_owned(),
    ];
    for change in &all {
        let error = judged(change).expect_err(change);
        assert!(error.contains("somebody changed the schema of /a b/w.db"), "{change}: {error}");
        assert!(error.contains("sqlite3 '/a b/w.db' '.schema "), "{change}: {error}");
    }
    let error = judged("CREATE TRIGGER \"a'\"\"b\" BEFORE INSERT ON jobs BEGIN DELETE FROM jobs; END").unwrap_err();
    assert!(error.contains("trigger a'\"b on table jobs"), "{error}");
    let typed = format!("sqlite3 '/a b/w.db' {}", word("DROP TRIGGER \"a'\"\"b\""));
    assert!(error.ends_with(&typed), "{error}");
}
