//! How tables are laid out.

use super::*;

fn on(terminal: Option<usize>) -> Manner {
    Manner { terminal, ..Manner::default() }
}

#[test]
fn columns_are_aligned() {
    let mut table = TextTable::new(&["queue", "#length", "args"]);
    table.row(["mail", "7", "[1]"]);
    table.row(["a", "1200", ""]);
    assert_eq!(table.text(on(None)).as_str(), "QUEUE  LENGTH  ARGS\nmail        7  [1]\na        1200\n");
}

#[test]
fn a_column_without_content_is_left_out() {
    let table = || {
        let mut table = TextTable::new(&["queue", "#jobs", "state"]);
        table.row(["mail", "7", ""]);
        table
    };
    assert_eq!(table().column_if("state", false).text(on(None)).as_str(), "QUEUE  JOBS\nmail      7\n");
    assert_eq!(table().column_if("jobs", false).text(on(None)).as_str(), "QUEUE  STATE\nmail\n");
    assert_eq!(table().column_if("jobs", true).text(on(None)).as_str(), table().text(on(None)).as_str());
}

#[test]
fn what_strangers_wrote_stays_in_its_cell() {
    let mut table = TextTable::new(&["args", "key"]);
    table.row_with_last([&"x".repeat(200)], "a\nb\u{1b}[2J");
    let text = table.text(on(None));
    let line = text.as_str().lines().nth(1).unwrap();
    assert_eq!(line, format!("{}…  a\\nb\\u001b[2J", "x".repeat(CELL - 1)));
    assert_eq!(text.as_str().lines().count(), 2);
}

#[test]
fn a_terminal_is_filled_and_the_widest_cells_give_way() {
    let mut table = TextTable::new(&["id", "args", "error"]);
    table.row(["7", &"a".repeat(100), &"e".repeat(60)]);
    let wide = table.text(on(Some(300)));
    assert_eq!(wide.as_str().lines().nth(1).unwrap().chars().count(), 2 + 2 + 100 + 2 + 60, "nothing is cut");
    let narrow = table.text(on(Some(60)));
    let line = narrow.as_str().lines().nth(1).unwrap();
    assert_eq!(line, format!("7   {}…  {}…", "a".repeat(26), "e".repeat(26)));
    assert_eq!(line.chars().count(), 60);
    let key = {
        let mut table = TextTable::new(&["args", "key"]);
        table.row_with_last([&"a".repeat(100)], &"k".repeat(90));
        table.text(on(Some(40)))
    };
    assert!(key.as_str().contains(&"k".repeat(90)), "people pass it to a command");
}

#[test]
fn a_column_that_matters_gets_a_line_below_its_row_where_it_would_fall_away() {
    let table = || {
        let mut table = TextTable::new(&["id", "args", "said"]).uncut(&["id"]).falling_away(&["said", "args"]);
        table.row(["0123456789", &"a".repeat(30), &"s".repeat(50)]);
        table.row(["0123456789", "b", ""]);
        table.else_beneath("said")
    };
    let text = table().text(on(Some(40)));
    let lines: Vec<&str> = text.as_str().lines().collect();
    let beneath = format!("    {}…", "s".repeat(35));
    assert_eq!(lines, ["ID          ARGS", &format!("0123456789  {}…", "a".repeat(27)), &beneath, "0123456789  b"]);
    let wide = table().text(on(Some(100)));
    assert_eq!(wide.as_str().lines().count(), 3);
    assert_eq!(table().text(on(None)).as_str().lines().count(), 3);
}

#[test]
fn wide_letters_take_two_columns() {
    let mut table = TextTable::new(&["queue", "#jobs"]);
    table.row(["日本", "7"]);
    table.row(["mail-ü", "12"]);
    assert_eq!(table.text(on(None)).as_str(), "QUEUE   JOBS\n日本       7\nmail-ü    12\n");
    let mut long = TextTable::new(&["args", "#jobs"]);
    long.row([&"本".repeat(60), "1"]);
    for (terminal, columns) in [(None, CELL), (Some(40), 34)] {
        let text = long.text(on(terminal));
        let cell = text.as_str().lines().nth(1).unwrap().split(' ').next().unwrap().to_owned();
        assert!(cell.ends_with('…') && (columns - 1..=columns).contains(&cell.width()), "{cell}");
    }
}

#[test]
fn a_terminal_too_narrow_for_the_columns_has_a_line_for_each_cell() {
    let mut table = TextTable::new(&["#pos", "id", "queue", "args", "error"]);
    table.row(["0", "abcdefabcdef", "default", &"a".repeat(100), "oops"]);
    table.row(["1", "012345678901", "default", "[]", ""]);
    let text = table.text(on(Some(40)));
    let expected = format!(
        "POS:   0\nID:    abcdefabcdef\nQUEUE: default\nARGS:  {}…\nERROR: oops\n\n\
         POS:   1\nID:    012345678901\nQUEUE: default\nARGS:  []\n",
        "a".repeat(32)
    );
    assert_eq!(text.as_str(), expected);
    assert!(text.as_str().lines().all(|line| line.width() <= 40));
    let narrow = table.text(on(Some(1)));
    assert!(narrow.as_str().contains("ID:    abcdefabcdef\n"), "{narrow:?}");
}

#[test]
fn columns_that_matter_less_fall_away_and_are_named() {
    let table = |text: &str| {
        let headings = ["class", "since", "#attempt", "worker", "args", "id"];
        let mut table = TextTable::new(&headings).uncut(&["since"]).falling_away(&["worker", "args", "#attempt"]);
        table.row_with_last(["resize", "2m 5s ago", "1", "web-1-windlass:15261+1", text], "854a3ab873f5a70a-0-26-0");
        table
    };
    let long = "a".repeat(50);
    let wide = table(&long).text(on(Some(80)));
    assert_eq!(
        wide.as_str(),
        format!(
            "CLASS   SINCE      ATTEMPT  ARGS                         ID\n\
             resize  2m 5s ago        1  {}…  854a3ab873f5a70a-0-26-0\n\
             left out: worker (--wide shows all, and --json)\n",
            "a".repeat(26)
        )
    );
    let narrow = table(&long).text(on(Some(50)));
    assert!(narrow.as_str().starts_with("CLASS   SINCE      ID\n"), "{narrow:?}");
    assert!(
        narrow.as_str().ends_with("left out: attempt, worker, args (--wide shows all, and --json)\n"),
        "{narrow:?}"
    );
    let whole = table(&"a".repeat(200)).text(Manner { wide: true, ..on(Some(50)) });
    assert!(whole.as_str().contains(&"a".repeat(200)) && !whole.as_str().contains("left out"), "{whole:?}");
    let piped = table(&long).text(on(None));
    assert!(piped.as_str().contains(&long) && piped.as_str().contains("WORKER"), "{piped:?}");
    let coloured = table("x").text(Manner { coloured: true, ..on(Some(200)) });
    assert!(
        coloured.as_str().starts_with("\u{1b}[1mCLASS") && coloured.as_str().contains("\u{1b}[0m\nresize"),
        "{coloured:?}"
    );
}
