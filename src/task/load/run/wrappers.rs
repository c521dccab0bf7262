//! The programs that run a program, which they are given with its arguments.
//!
//! Several share one row, so that an option may take a value in one of them and none in another. What follows is judged
//! either way (`code`).
//!
//! Longer than 400 lines because each program is a row of one table.

use super::interpreters::{Interpreter, NONE, Operands};

/// The loader of programs (`ld-linux-x86-64.so.2`).
pub(super) const LOADER: &str = "ld-linux";

/// Does a program of this name load and run another, as the loader does?
pub(super) fn is_loader(file: &str) -> bool {
    ["ld-linux", "ld-musl", "ld.so", "ld64.so"].iter().any(|begin| file.starts_with(begin))
}

/// The programs that run a program in a container, by their commands `exec` and `run`.
pub(super) const CONTAINERS: [&str; 17] = [
    // `ip netns exec NAME PROGRAM`.
    "ip",
    "docker",
    "podman",
    "nerdctl",
    "kubectl",
    "oc",
    "crictl",
    "lxc",
    "incus",
    "docker-compose",
    "podman-compose",
    "apptainer",
    "singularity",
    "buildah",
    "ctr",
    "k3s",
    "nomad",
];

/// How such a command takes its arguments: options, what the container is, a program.
pub(super) const IN_CONTAINER: Interpreter = Interpreter {
    names: &["exec"],
    // An image is code, and a file of variables may name any.
    loads_long: &["--entrypoint", "--env-file", "--image"],
    variables: "e",
    variables_long: &["--env"],
    value: "achlmnpuvw",
    value_long: &[
        "--user",
        "--workdir",
        "--detach-keys",
        "--name",
        "--network",
        "--volume",
        "--mount",
        "--hostname",
        "--label",
        "--publish",
        "--memory",
        "--cpus",
        "--platform",
        "--pull",
        "--container",
        "--namespace",
        "--context",
        "--index",
    ],
    operands: Operands::Program(1),
    ..NONE
};

/// The same where an image stands before the program.
pub(super) const OF_IMAGE: Interpreter = Interpreter { names: &["run"], runs_first: true, ..IN_CONTAINER };

/// The same where one value holds several variables, behind commas.
pub(super) const OF_FILE: Interpreter = Interpreter {
    names: &["exec", "run"],
    loads_long: &["--env", "--env-file"],
    variables: "",
    variables_long: &[],
    ..OF_IMAGE
};

/// Those of them whose command `exec` takes an image, too.
pub(super) const BY_IMAGE: [&str; 2] = ["apptainer", "singularity"];

/// The programs that run a program in an environment, by their commands `exec` and `run`.
pub(super) const RUNNERS: [&str; 14] = [
    "bundle",
    "poetry",
    "uv",
    "pipenv",
    "pdm",
    "rye",
    "conda",
    "mamba",
    "micromamba",
    "foreman",
    "honcho",
    "hatch",
    "heroku",
    "devbox",
];

/// How such a command takes its arguments.
pub(super) const BY_RUNNER: Interpreter = Interpreter {
    names: &["exec", "run"],
    loads_long: &["--with", "--with-editable", "--with-requirements", "--from", "--script"],
    value: "npfe",
    value_long: &[
        "--env-file",
        "--name",
        "--prefix",
        "--cwd",
        "--python",
        "--gemfile",
        "--group",
        "--extra",
        "--package",
    ],
    operands: Operands::Program(0),
    ..NONE
};

/// The programs that run what stands behind two dashes, by these commands.
pub(super) const BY_DASHES: [&str; 9] =
    ["op", "doppler", "mise", "aws-vault", "chamber", "infisical", "teller", "dotenvx", "granted"];

/// How such a command takes its arguments if there are no two dashes.
pub(super) const BEFORE_DASHES: Interpreter = Interpreter {
    names: &["exec", "run", "x"],
    code_long: &["--command"],
    loads: "c",
    value: "epdtmnf",
    value_long: &["--env-file", "--env", "--project", "--config", "--account", "--duration", "--region", "--path"],
    operands: Operands::Program(0),
    ..NONE
};

/// The programs whose command `exec` has a folder or a name before the program.
pub(super) const BY_PLACE: [&str; 2] = ["direnv", "nsc"];

/// How such a command takes its arguments.
pub(super) const IN_PLACE: Interpreter = Interpreter { names: &["exec"], operands: Operands::Program(1), ..NONE };

/// `runuser -u USER`, which runs a program without a shell.
pub(super) const RUNUSER: Interpreter = Interpreter {
    names: &["runuser"],
    value: "ugGw",
    value_long: &["--user", "--group", "--supp-group", "--whitelist-environment"],
    operands: Operands::Program(0),
    ..NONE
};

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
        code_on_stdin: true,
        leaves_stdin: "klvVeK",
        ..NONE
    },
    Interpreter {
        names: &["strace"],
        loads: "o",
        loads_long: &["--output"],
        variables: "E",
        variables_long: &["--env"],
        value: "abeIOpPsSuUX",
        operands: Operands::Program(0),
        ..NONE
    },
    Interpreter { names: &["setsid"], operands: Operands::Program(0), ..NONE },
    Interpreter {
        names: &["time", "gtime"],
        value: "fo",
        value_long: &["--format", "--output"],
        operands: Operands::Program(0),
        ..NONE
    },
    Interpreter {
        names: &["ionice"],
        value: "cnpPu",
        value_long: &["--class", "--classdata", "--pid", "--pgid", "--uid"],
        operands: Operands::Program(0),
        ..NONE
    },
    Interpreter {
        names: &["choom"],
        value: "np",
        value_long: &["--adjust", "--pid"],
        operands: Operands::Program(0),
        ..NONE
    },
    Interpreter {
        // The loader of programs, which is known by how its name begins.
        names: &[LOADER],
        loads_long: &["--library-path", "--preload", "--audit"],
        value_long: &["--argv0", "--inhibit-rpath", "--glibc-hwcaps-prepend", "--glibc-hwcaps-mask"],
        operands: Operands::Program(0),
        ..NONE
    },
    Interpreter {
        names: &["fakeroot"],
        loads: "l",
        loads_long: &["--lib", "--faked"],
        value: "sib",
        operands: Operands::Program(0),
        code_on_stdin: true,
        ..NONE
    },
    // What these run is judged apart (`code`).
    Interpreter { names: &CONTAINERS, ..NONE },
    Interpreter { names: &RUNNERS, ..NONE },
    Interpreter { names: &BY_DASHES, ..NONE },
    Interpreter { names: &BY_PLACE, ..NONE },
    Interpreter { names: &["capsh"], ..NONE },
    Interpreter {
        // A property may be a command (`ExecStartPre=`), and those of a timer name the unit that it starts.
        names: &["systemd-run", "run0"],
        loads: "p",
        loads_long: &["--property", "--timer-property", "--path-property", "--socket-property"],
        variables: "E",
        variables_long: &["--setenv"],
        value: "ugHMCD",
        value_long: &[
            "--unit",
            "--description",
            "--slice",
            "--host",
            "--machine",
            "--capsule",
            "--service-type",
            "--uid",
            "--gid",
            "--user",
            "--group",
            "--nice",
            "--working-directory",
            "--chdir",
            "--on-active",
            "--on-boot",
            "--on-startup",
            "--on-unit-active",
            "--on-unit-inactive",
            "--on-calendar",
            "--background",
        ],
        operands: Operands::Program(0),
        code_on_stdin: true,
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
        code_on_stdin: true,
        ..NONE
    },
    Interpreter {
        // The name of a machine may stand before the program, and is a program of the same kind.
        names: &[
            "setarch",
            "linux32",
            "linux64",
            "i386",
            "i486",
            "i586",
            "i686",
            "x86_64",
            "aarch64",
            "arm64",
            "arm",
            "armv7l",
            "armv8l",
            "athlon",
            "ppc",
            "ppc32",
            "ppc64",
            "ppc64le",
            "ppcle",
            "s390",
            "s390x",
            "mips",
            "mips32",
            "mips64",
            "sparc",
            "sparc32",
            "sparc64",
            "alpha",
            "ia64",
            "parisc",
            "parisc32",
            "parisc64",
            "riscv32",
            "riscv64",
            "loongarch64",
            "uname26",
        ],
        operands: Operands::Program(0),
        code_on_stdin: true,
        ..NONE
    },
    Interpreter {
        names: &["chroot"],
        value_long: &["--userspec", "--groups"],
        operands: Operands::Program(1),
        code_on_stdin: true,
        ..NONE
    },
    Interpreter {
        names: &[
            "envdir",
            "envuidgid",
            "s6-envdir",
            "setlock",
            "s6-setlock",
            "taskset",
            "chrt",
            "gosu",
            "su-exec",
            "setuidgid",
            "s6-setuidgid",
            "cgexec",
            "envchain",
            "gdbserver",
        ],
        value: "TPDg",
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
        code: "c",
        code_long: &["--command", "--session-command"],
        loads: "s",
        loads_long: &["--shell"],
        value: "ugGw",
        value_long: &["--user", "--group", "--supp-group", "--whitelist-environment"],
        operands: Operands::AllCode(1),
        permutes: true,
        code_on_stdin: true,
        ..NONE
    },
    Interpreter {
        names: &["script"],
        code: "c",
        code_long: &["--command"],
        value: "EOIBTmo",
        permutes: true,
        code_on_stdin: true,
        ..NONE
    },
    Interpreter {
        names: &["watch", "entr", "eval"],
        value: "nfqt",
        value_long: &["--interval"],
        operands: Operands::AllCode(0),
        ..NONE
    },
    Interpreter {
        names: &["at", "batch"],
        loads: "f",
        value: "qt",
        permutes: true,
        code_on_stdin: true,
        leaves_stdin: "flcdrV",
        ..NONE
    },
    Interpreter { names: &["tmux", "screen"], code: "cf", value: "LSTtspeh", operands: Operands::AllCode(0), ..NONE },
    Interpreter {
        names: &["xargs", "gxargs"],
        value: "EILnPsda",
        rest: "eil",
        value_long: &[
            "--arg-file",
            "--max-args",
            "--max-procs",
            "--max-lines",
            "--max-chars",
            "--delimiter",
            "--replace",
        ],
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
