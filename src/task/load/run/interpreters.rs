//! The programs that take some of their arguments as code, or as a program to run.
//!
//! Only what decides the meaning of an argument is listed: options that take code, options that take another value (so
//! that the value is not taken for an operand), and what the operands are.

/// What a program takes its operands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operands {
    /// Data.
    Data,
    /// The first is code, or names a file of code, unless an option gave the code. The others are data.
    Code,
    /// The same, and without an operand it takes its stdin for code.
    CodeOrStdin,
    /// All after so many are code.
    AllCode(usize),
    /// After so many comes a program with its arguments.
    Program(usize),
}

/// How a program takes its arguments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interpreter {
    /// Its names, without version numbers.
    names: &'static [&'static str],
    /// One-letter options whose value is code.
    pub(super) code: &'static str,
    /// Long options whose value is code, with as many dashes as they have.
    pub(super) code_long: &'static [&'static str],
    /// One-letter options that take another value.
    pub(super) value: &'static str,
    /// Long options that take another value from the next item.
    pub(super) value_long: &'static [&'static str],
    pub(super) operands: Operands,
    /// Does it read options after its operands too?
    pub(super) permutes: bool,
    /// Does it take its stdin for arguments of the program?
    pub(super) stdin_is_arguments: bool,
}

const NONE: Interpreter = Interpreter {
    names: &[],
    code: "",
    code_long: &[],
    value: "",
    value_long: &[],
    operands: Operands::Data,
    permutes: false,
    stdin_is_arguments: false,
};

/// The shells. Their `-c` takes no value: it makes the first operand code instead of a file of code.
pub(super) const SHELLS: [&str; 14] =
    ["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "fish", "yash", "csh", "tcsh", "rbash", "posh", "rc"];

const ALL: &[Interpreter] = &[
    // Languages.
    Interpreter {
        names: &SHELLS,
        code: "C",
        code_long: &["--command", "--init-command", "--rcfile", "--init-file"],
        value: "oO",
        operands: Operands::CodeOrStdin,
        ..NONE
    },
    Interpreter {
        names: &["python", "pypy", "micropython"],
        code: "cm",
        value: "WX",
        value_long: &["--check-hash-based-pycs"],
        operands: Operands::CodeOrStdin,
        ..NONE
    },
    Interpreter { names: &["perl"], code: "eEMmI", value: "F", operands: Operands::CodeOrStdin, ..NONE },
    Interpreter { names: &["ruby", "jruby"], code: "erI", value: "CEF", operands: Operands::CodeOrStdin, ..NONE },
    Interpreter {
        names: &["node", "nodejs", "bun", "tsx", "ts-node"],
        code: "epr",
        code_long: &["--eval", "--print", "--require", "--import", "--loader", "--experimental-loader"],
        value: "C",
        value_long: &["--conditions", "--env-file"],
        operands: Operands::CodeOrStdin,
        ..NONE
    },
    Interpreter {
        names: &["php"],
        code: "rBREfFdzc",
        code_long: &[
            "--run",
            "--file",
            "--process-begin",
            "--process-code",
            "--process-end",
            "--process-file",
            "--define",
        ],
        value: "tS",
        operands: Operands::CodeOrStdin,
        ..NONE
    },
    Interpreter { names: &["lua", "luajit", "texlua"], code: "el", operands: Operands::CodeOrStdin, ..NONE },
    Interpreter {
        names: &[
            "julia",
            "elixir",
            "iex",
            "R",
            "Rscript",
            "osascript",
            "groovy",
            "scala",
            "ghc",
            "runghc",
            "guile",
            "racket",
            "expect",
            "tclsh",
            "swipl",
        ],
        code: "eEcLlgt",
        code_long: &["--eval", "--print", "--load", "--expr"],
        operands: Operands::CodeOrStdin,
        ..NONE
    },
    Interpreter {
        names: &["deno", "pwsh", "powershell"],
        code_long: &["-c", "-Command", "-EncodedCommand", "-e", "-ec", "-f", "-File", "-command", "-file"],
        operands: Operands::AllCode(0),
        ..NONE
    },
    Interpreter { names: &["erl"], code_long: &["-eval", "-run", "-s"], permutes: true, ..NONE },
    Interpreter {
        names: &["sed", "gsed"],
        code: "ef",
        code_long: &["--expression", "--file"],
        value: "l",
        value_long: &["--line-length"],
        operands: Operands::Code,
        permutes: true,
        ..NONE
    },
    Interpreter {
        names: &["awk", "gawk", "mawk", "nawk", "goawk"],
        code: "efElid",
        code_long: &["--source", "--file", "--exec", "--load", "--include"],
        value: "Fv",
        value_long: &["--field-separator", "--assign"],
        operands: Operands::Code,
        ..NONE
    },
    Interpreter {
        names: &["jq", "yq"],
        code: "fL",
        code_long: &["--from-file"],
        operands: Operands::Code,
        permutes: true,
        ..NONE
    },
    Interpreter {
        names: &["bc", "dc"],
        code: "ef",
        code_long: &["--expression", "--file"],
        operands: Operands::Code,
        ..NONE
    },
    Interpreter {
        names: &["make", "gmake", "ninja", "just"],
        value: "Cj",
        code: "fEIo",
        code_long: &["--eval", "--file", "--makefile", "--include-dir"],
        operands: Operands::AllCode(0),
        permutes: true,
        ..NONE
    },
    // Clients of servers.
    Interpreter {
        names: &["sqlite", "duckdb"],
        code_long: &["-cmd", "-init", "-c"],
        operands: Operands::AllCode(1),
        ..NONE
    },
    Interpreter {
        names: &["psql"],
        code: "cf",
        code_long: &["--command", "--file"],
        value: "dhpUvFRoLPT",
        permutes: true,
        ..NONE
    },
    Interpreter {
        names: &["mysql", "mariadb", "mongo", "mongosh"],
        code: "e",
        code_long: &["--execute", "--init-command", "--eval"],
        permutes: true,
        ..NONE
    },
    Interpreter {
        names: &["ssh", "autossh"],
        code: "oFS",
        value: "BbcDEeIiJLlmOpQRWw",
        operands: Operands::AllCode(1),
        ..NONE
    },
    Interpreter { names: &["scp", "sftp"], code: "oSFDb", value: "ciJlPX", permutes: true, ..NONE },
    // Tools with options that take a command.
    Interpreter {
        names: &["git"],
        code: "c",
        code_long: &["--config-env", "--exec-path", "--upload-pack", "--receive-pack", "--exec", "--extcmd"],
        value: "C",
        value_long: &["--git-dir", "--work-tree", "--namespace"],
        operands: Operands::Code,
        permutes: true,
        ..NONE
    },
    Interpreter {
        names: &["tar", "bsdtar", "gtar"],
        code: "IF",
        code_long: &[
            "--to-command",
            "--checkpoint-action",
            "--use-compress-program",
            "--rsh-command",
            "--rmt-command",
            "--info-script",
            "--new-volume-script",
        ],
        value: "fCTX",
        permutes: true,
        ..NONE
    },
    Interpreter { names: &["rsync"], code: "e", code_long: &["--rsh", "--rsync-path"], permutes: true, ..NONE },
    Interpreter { names: &["sort"], code_long: &["--compress-program"], permutes: true, ..NONE },
    Interpreter { names: &["curl"], code: "K", code_long: &["--config"], permutes: true, ..NONE },
    Interpreter {
        names: &["vi", "vim", "nvim", "ex", "view"],
        code: "cSsu",
        code_long: &["--cmd"],
        permutes: true,
        ..NONE
    },
    Interpreter {
        names: &["emacs"],
        code: "fl",
        code_long: &["--eval", "--execute", "--funcall", "--load", "--script"],
        permutes: true,
        ..NONE
    },
    Interpreter {
        names: &["gdb", "lldb"],
        code: "xo",
        code_long: &["-ex", "-iex", "--eval-command", "--command", "--one-line"],
        permutes: true,
        ..NONE
    },
    // Programs that run a program.
    Interpreter {
        names: &["env"],
        code: "S",
        code_long: &["--split-string"],
        value: "uC",
        value_long: &["--unset", "--chdir"],
        operands: Operands::Program(0),
        ..NONE
    },
    Interpreter {
        names: &["sudo", "doas"],
        code: "R",
        value: "ughpCDTUrtac",
        value_long: &["--user", "--group", "--host", "--prompt", "--chdir", "--other-user", "--role", "--type"],
        operands: Operands::Program(0),
        ..NONE
    },
    Interpreter {
        names: &[
            "nice",
            "ionice",
            "nohup",
            "setsid",
            "stdbuf",
            "setpriv",
            "time",
            "strace",
            "ltrace",
            "unshare",
            "nsenter",
            "prlimit",
            "systemd-run",
            "systemd-inhibit",
            "unbuffer",
            "tini",
            "dumb-init",
            "catchsegv",
            "chpst",
            "softlimit",
            "caffeinate",
            "faketime",
            "proxychains",
            "firejail",
            "bwrap",
            "setarch",
        ],
        value: "nciopPUSGgueEkstaOv",
        value_long: &[
            "--adjustment",
            "--class",
            "--classdata",
            "--pid",
            "--input",
            "--output",
            "--error",
            "--reuid",
            "--regid",
            "--groups",
            "--target",
            "--unit",
            "--property",
            "--uid",
            "--gid",
        ],
        operands: Operands::Program(0),
        ..NONE
    },
    Interpreter {
        names: &["timeout", "gtimeout"],
        value: "ks",
        value_long: &["--kill-after", "--signal"],
        operands: Operands::Program(1),
        ..NONE
    },
    Interpreter { names: &["chroot"], value_long: &["--userspec", "--groups"], operands: Operands::Program(1), ..NONE },
    Interpreter {
        names: &["taskset", "chrt", "gosu", "su-exec", "setuidgid", "s6-setuidgid", "cgexec"],
        value: "TPD",
        operands: Operands::Program(1),
        ..NONE
    },
    Interpreter {
        names: &["flock"],
        code: "c",
        code_long: &["--command"],
        value: "wE",
        value_long: &["--timeout", "--wait", "--conflict-exit-code"],
        operands: Operands::Program(1),
        ..NONE
    },
    Interpreter { names: &["busybox", "toybox", "command", "exec", "builtin"], operands: Operands::Program(0), ..NONE },
    Interpreter {
        names: &["su", "runuser"],
        code: "cs",
        code_long: &["--command", "--session-command", "--shell"],
        value: "ugGw",
        value_long: &["--user", "--group", "--supp-group", "--whitelist-environment"],
        operands: Operands::AllCode(1),
        permutes: true,
        ..NONE
    },
    Interpreter { names: &["script"], code: "c", code_long: &["--command"], value: "EOIBTmo", permutes: true, ..NONE },
    Interpreter {
        names: &["watch", "entr", "eval", "at", "batch"],
        value: "nfqt",
        value_long: &["--interval"],
        operands: Operands::AllCode(0),
        ..NONE
    },
    Interpreter {
        names: &["xargs", "gxargs"],
        value: "EILnPsd",
        value_long: &["--max-args", "--max-procs", "--max-lines", "--max-chars", "--delimiter", "--replace"],
        operands: Operands::Program(0),
        stdin_is_arguments: true,
        ..NONE
    },
    Interpreter {
        names: &["parallel"],
        operands: Operands::AllCode(0),
        permutes: true,
        stdin_is_arguments: true,
        ..NONE
    },
];

/// How a program takes its arguments, if it is one of these. `program` is a name or a path.
pub(super) fn find(program: &str) -> Option<&'static Interpreter> {
    let name = name(program);
    ALL.iter().find(|known| known.names.contains(&name))
}

/// Is this a shell?
pub(super) fn is_shell(program: &str) -> bool {
    SHELLS.contains(&name(program))
}

/// The name of a program without its folder and its version: `/usr/bin/python3.11` is `python`.
pub(super) fn name(program: &str) -> &str {
    let file = program.rsplit('/').next().unwrap_or_default();
    let bare = file.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.' || letter == '-');
    if bare.is_empty() { file } else { bare }
}
