//! Command lines that are told, and those that are not.

use super::*;

fn told(items: &[&str]) -> Option<Warning> {
    let argv: Vec<Template> = items.iter().map(|item| Template::parse(item).unwrap()).collect();
    judge(&argv, items, |at| crate::task::load::run::argv::is_code(&argv, at))
}

#[test]
fn what_only_a_shell_reads_is_told_with_the_list_in_which_one_does() {
    for (line, at, list) in [
        ("pg_dump shop > out.sql", 2, r#"["sh", "-c", "pg_dump shop > out.sql"]"#),
        ("pg_dump -v >> out.sql", 2, r#"["sh", "-c", "pg_dump -v >> out.sql"]"#),
        ("./work >/dev/null 2>&1", 1, r#"["sh", "-c", "./work >/dev/null 2>&1"]"#),
        ("./work 2> errors.log", 1, r#"["sh", "-c", "./work 2> errors.log"]"#),
        ("mysql shop < in.sql", 2, r#"["sh", "-c", "mysql shop < in.sql"]"#),
        ("ls -l | wc -l", 2, r#"["sh", "-c", "ls -l | wc -l"]"#),
        ("pg_dump shop | gzip", 2, r#"["sh", "-c", "pg_dump shop | gzip"]"#),
        (
            "pg_dump {db} > /srv/{db}.sql",
            2,
            r#"["sh", "-c", "pg_dump \"$1\" > \"$2\"", "sh", "{db}", "/srv/{db}.sql"]"#,
        ),
        ("./work >{file}", 1, r#"["sh", "-c", "./work >\"$1\"", "sh", "{file}"]"#),
        ("make clean && make", 2, r#"["sh", "-c", "make clean && make"]"#),
        ("mkdir -p out && ./work", 3, r#"["sh", "-c", "mkdir -p out && ./work"]"#),
        ("./a ; ./b", 1, r#"["sh", "-c", "./a ; ./b"]"#),
        ("./work || true", 1, r#"["sh", "-c", "./work || true"]"#),
        ("rm -f /tmp/*.log", 2, r#"["sh", "-c", "rm -f /tmp/*.log"]"#),
        ("timeout 5 gzip *.log", 3, r#"["sh", "-c", "timeout 5 gzip *.log"]"#),
        ("grep -c error *.log", 3, r#"["sh", "-c", "grep -c error *.log"]"#),
        ("grep error app.log | wc -l", 3, r#"["sh", "-c", "grep error app.log | wc -l"]"#),
        ("./backup `date`", 1, r#"["sh", "-c", "./backup `date`"]"#),
        ("./backup $(date)", 1, r#"["sh", "-c", "./backup $(date)"]"#),
        ("find . -delete > gone.log", 3, r#"["sh", "-c", "find . -delete > gone.log"]"#),
        ("ls ~/in | wc", 2, r#"["sh", "-c", "ls ~/in | wc"]"#),
        ("pg_dump $DB > a.sql", 2, r#"["sh", "-c", "pg_dump \"$DB\" > a.sql"]"#),
        ("echo it's > a.txt", 2, r#"["sh", "-c", "echo 'it'\\''s' > a.txt"]"#),
        ("find . -exec rm {{}} \\;", 5, "write \";\", without the backslash"),
        ("sh -c ls > out.txt", 3, "in the item behind -c"),
        ("./server &", 1, "leave it out"),
    ] {
        let items: Vec<&str> = line.split(' ').collect();
        let found = told(&items);
        let Some(Warning { position, message }) = &found else { panic!("{line}: nothing is told") };
        assert_eq!((*position, message.contains(list)), (at, true), "{line}: {message}");
        assert!(message.contains("allow_dollar = true"), "{message}");
    }
    let found = told(&["./backup", "b-`date +%F`.sql"]).unwrap();
    assert!(found.message.contains("b-`date +%F`.sql\"]"), "{found:?}");
}

#[test]
fn programs_that_are_meant_to_get_such_items_get_them_without_a_word() {
    for line in [
        "find . -name *.log -exec rm {{}} ;",
        "find . ( -name a* -o -name b? ) -print",
        "nice find . -exec ls {{}} ;",
        "grep > file",
        "grep -v && file",
        "git grep ; src",
        "env A=b grep | file",
        "awk $1>5 data",
        "awk -F | {{print}} data",
        "cut -d | -f 1 data.csv",
        "cut -d ; -f 1 data.csv",
        "sort -t | data.csv",
        "column -s | data",
        "tr | ,",
        "expr 3 > 2",
        "test a < b",
        "redis-cli XREADGROUP GROUP g c STREAMS s >",
        "redis-cli KEYS a*",
        "sed s/a*/b/ f",
        "sed -e s|a|b| f",
        "jq .a|.b f",
        "ssh host ls | wc",
        "sh -c {{ls;}}",
        "tar czf a.tgz --exclude *.tmp dir",
        "rsync -a --include *.jpg a b",
        "scp host:*.log .",
        "curl https://h/?a=b&c=d",
        "zip -r a.zip d -x *.tmp",
        "./work *.csv",
        "./work --every */5",
        "./import --sep ; data.csv",
        "./import --sep | data.csv",
        "./import -d | data.csv",
        "./import --min > 5",
        "./say <ada@example.com> <b> >= >5 <3",
        "./say -> => ->",
        "psql -F | -c {{select}}",
        "echo AT&T what? a*b",
        "mysql -e `t`",
        "./note `name`",
        "docker run --rm img ls *",
        "unzip a.zip *.txt",
        "ffmpeg -pattern_type glob -i *.jpg out.mp4",
        "watch ls | wc",
    ] {
        let items: Vec<&str> = line.split(' ').collect();
        assert_eq!(told(&items), None, "{line}");
    }
    assert_eq!(told(&["./note", "use `name` here, it costs $5"]), None);
    assert_eq!(told(&["./note", "a > b && c | d; e"]), None);
}
