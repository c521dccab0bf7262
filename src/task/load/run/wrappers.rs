//! The programs that run a program, which they are given with its arguments.
//!
//! Several share one row, so that an option may take a value in one of them and none in another. What follows is judged
//! either way (`code`).

use super::interpreters::{Interpreter, NONE, Operands};

pub(super) const ALL: &[Interpreter] = &[
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
    Interpreter {
        names: &["unshare", "nsenter"],
        value: "tSGRw",
        value_long: &["--target", "--setuid", "--setgid", "--root", "--wd"],
        operands: Operands::Program(0),
        shell_on_stdin: true,
        ..NONE
    },
    Interpreter {
        names: &["chroot", "setarch"],
        value_long: &["--userspec", "--groups"],
        operands: Operands::Program(1),
        shell_on_stdin: true,
        ..NONE
    },
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
        names: &["su", "runuser", "sg", "newgrp"],
        code: "cs",
        code_long: &["--command", "--session-command", "--shell"],
        value: "ugGw",
        value_long: &["--user", "--group", "--supp-group", "--whitelist-environment"],
        operands: Operands::AllCode(1),
        permutes: true,
        shell_on_stdin: true,
        ..NONE
    },
    Interpreter {
        names: &["script"],
        code: "c",
        code_long: &["--command"],
        value: "EOIBTmo",
        permutes: true,
        shell_on_stdin: true,
        ..NONE
    },
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
