//! The clients of databases and of other servers, whose code is what they ask the server, and the commands of their own that
//! run programs (`\!` of `psql`, `.shell` of `sqlite3`, `!` of `sftp`).
//!
//! Most of them read that from their stdin if no option and no operand gave it.

use super::interpreters::{Interpreter, NONE, Operands};

/// Is this client called as users and containers are, too (`sudo -u ftp`, `docker exec mysql`)?
pub(super) fn is_also_an_account(name: &str) -> bool {
    !matches!(name, "ssh" | "autossh" | "scp" | "lftp") && ALL.iter().any(|known| known.names.contains(&name))
}

pub(super) const ALL: &[Interpreter] = &[
    Interpreter {
        names: &["sqlite", "litecli", "duckdb"],
        code_long: &["-c", "-s", "-f"],
        loads_long: &["-cmd", "--cmd", "-init", "--init"],
        value_long: &["-separator", "-newline", "-nullvalue", "-vfs", "-mmap", "-maxsize", "-escape"],
        operands: Operands::AllCode(1),
        permutes: true,
        code_on_stdin: true,
        ..NONE
    },
    Interpreter {
        names: &["psql", "ysqlsh", "pgcli"],
        code: "cf",
        code_long: &["--command", "--file"],
        // A file that begins with a bar is a command.
        loads: "o",
        loads_long: &["--output"],
        value: "dhpUvFRLPT",
        permutes: true,
        code_on_stdin: true,
        leaves_stdin: "lV?",
        leaves_stdin_long: &["--list", "--version", "--help"],
        ..NONE
    },
    Interpreter {
        names: &["mysql", "mariadb", "mycli"],
        code: "e",
        code_long: &["--execute"],
        loads_long: &[
            "--init-command",
            "--pager",
            "--defaults-file",
            "--defaults-extra-file",
            "--plugin-dir",
            "--default-auth",
        ],
        value: "uhPDS",
        rest: "p",
        permutes: true,
        code_on_stdin: true,
        leaves_stdin: "V?",
        leaves_stdin_long: &["--version", "--help"],
        ..NONE
    },
    Interpreter {
        names: &[
            "mysqldump",
            "mysqlpump",
            "mysqladmin",
            "mysqlimport",
            "mysqlcheck",
            "mysqlshow",
            "mysqlslap",
            "mariadb-dump",
            "mariadb-admin",
            "mariadb-import",
            "mariadb-check",
            "mariadb-show",
            "mariadb-slap",
        ],
        loads_long: &[
            "--init-command",
            "--defaults-file",
            "--defaults-extra-file",
            "--plugin-dir",
            "--default-auth",
            "--pre-system",
            "--post-system",
            "--pre-query",
            "--post-query",
            "--query",
            "--create",
        ],
        value: "uhPDS",
        rest: "p",
        permutes: true,
        ..NONE
    },
    Interpreter {
        // Its files hold `\setshell`.
        names: &["pgbench"],
        code: "f",
        code_long: &["--file"],
        value: "bcDFIhjLMpPRstTU",
        permutes: true,
        ..NONE
    },
    Interpreter {
        // A file of settings, or the settings as options: both load libraries.
        names: &["redis-server", "valkey-server", "redis-sentinel", "valkey-sentinel"],
        code_long: &["--loadmodule", "--loadmodule-ex", "--include"],
        value_long: &[
            "--port",
            "--bind",
            "--dir",
            "--dbfilename",
            "--maxmemory",
            "--requirepass",
            "--unixsocket",
            "--save",
        ],
        operands: Operands::Code,
        permutes: true,
        ..NONE
    },
    Interpreter {
        names: &["mongo", "mongosh"],
        code: "f",
        code_long: &["--eval", "--file"],
        value: "up",
        value_long: &["--username", "--password", "--host", "--port", "--authenticationDatabase"],
        scripts: &[".js", ".mongodb"],
        permutes: true,
        code_on_stdin: true,
        leaves_stdin_long: &["--version", "--help"],
        ..NONE
    },
    Interpreter {
        names: &["redis-cli", "valkey-cli", "keydb-cli"],
        code_long: &["--eval"],
        value: "hpsaurindDtX",
        value_long: &["--user", "--pass", "--sni", "--cacert", "--cacertdir", "--cert", "--key", "--pattern"],
        operands: Operands::Code,
        code_on_stdin: true,
        leaves_stdin_long: &[
            "--scan",
            "--bigkeys",
            "--memkeys",
            "--hotkeys",
            "--stat",
            "--latency",
            "--latency-history",
            "--latency-dist",
            "--intrinsic-latency",
            "--rdb",
            "--functions-rdb",
            "--cluster",
            "--version",
            "--help",
        ],
        code_after: &[
            &["eval"],
            &["eval_ro"],
            &["script", "load"],
            &["function", "load"],
            &["function", "load", "replace"],
            &["module", "load"],
            &["module", "loadex"],
            &["config", "set"],
        ],
        ..NONE
    },
    Interpreter {
        names: &["sqlcmd"],
        // After `-q` it goes on with its stdin.
        code: "Qi",
        loads: "q",
        value: "SUPdstlhmwEHaDKvo",
        permutes: true,
        code_on_stdin: true,
        leaves_stdin: "?",
        ..NONE
    },
    Interpreter {
        names: &["sqlplus"],
        value: "CMR",
        operands: Operands::AllCode(1),
        permutes: true,
        code_on_stdin: true,
        ..NONE
    },
    Interpreter {
        names: &["clickhouse-client", "clickhouse-local"],
        code: "q",
        code_long: &["--query", "--queries-file"],
        value: "hudfC",
        permutes: true,
        code_on_stdin: true,
        ..NONE
    },
    Interpreter {
        names: &[
            "cqlsh",
            "mysqlsh",
            "usql",
            "trino",
            "presto",
            "snowsql",
            "impala-shell",
            "hive",
            "beeline",
            "spark-sql",
        ],
        code: "ecqf",
        code_long: &["--execute", "--command", "--query", "--file", "--query_file", "--filename"],
        loads: "i",
        value: "uhpd",
        permutes: true,
        code_on_stdin: true,
        leaves_stdin_long: &["--version", "--help"],
        ..NONE
    },
    Interpreter {
        names: &["cypher-shell"],
        code: "f",
        code_long: &["--file"],
        value: "aupd",
        value_long: &["--address", "--username", "--password", "--database", "--format"],
        operands: Operands::AllCode(0),
        permutes: true,
        code_on_stdin: true,
        ..NONE
    },
    Interpreter {
        // Only some of their commands run code.
        names: &["clickhouse", "cockroach", "influx", "bq"],
        code: "eq",
        code_long: &["--execute", "-execute", "--query", "--queries-file"],
        permutes: true,
        code_after: &[&["query"]],
        ..NONE
    },
    Interpreter {
        names: &["ssh", "autossh"],
        loads: "oFSI",
        value: "BbcDEeiJLlmOpQRWw",
        operands: Operands::AllCode(1),
        code_on_stdin: true,
        leaves_stdin: "Nnf",
        ..NONE
    },
    Interpreter { names: &["scp"], loads: "oSFD", value: "ciJlPX", permutes: true, ..NONE },
    Interpreter {
        names: &["sftp"],
        code: "b",
        loads: "oSFD",
        value: "BciJlPRsX",
        permutes: true,
        code_on_stdin: true,
        ..NONE
    },
    Interpreter { names: &["lftp", "ftp"], code: "cef", value: "up", permutes: true, code_on_stdin: true, ..NONE },
    Interpreter { names: &["ed", "red"], value: "p", permutes: true, code_on_stdin: true, ..NONE },
];
