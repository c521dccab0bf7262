//! More programs that run the program which they are given: those that need to know little more than their own options.

use super::interpreters::{Interpreter, NONE, Operands};

/// One whose first operand is the program.
const PLAIN: Interpreter = Interpreter { operands: Operands::Program(0), ..NONE };

pub(super) const ALL: &[Interpreter] = &[
    Interpreter {
        // None of their options takes a value.
        names: &[
            "nohup",
            "unbuffer",
            "chronic",
            "catchsegv",
            "eatmydata",
            "torify",
            "pgrphack",
            "with-contenv",
            "s6-setsid",
            "vglrun",
            "catatonit",
        ],
        ..PLAIN
    },
    // The name of its tool is that of a program.
    Interpreter { names: &["valgrind"], loads_long: &["--tool", "--db-command", "--suppressions"], ..PLAIN },
    Interpreter { names: &["firejail"], variables_long: &["--env"], loads_long: &["--profile"], ..PLAIN },
    Interpreter {
        names: &["lxc-attach", "lxc-execute", "lxc-start", "lxc-unshare"],
        loads: "fP",
        loads_long: &["--rcfile", "--define", "--lxcpath"],
        variables: "v",
        variables_long: &["--set-var"],
        value: "nolsugcaL",
        value_long: &["--name", "--logfile", "--logpriority", "--uid", "--gid", "--arch", "--namespaces", "--keep-var"],
        ..PLAIN
    },
    Interpreter { names: &["ssh-agent"], loads: "P", value: "aEOt", ..PLAIN },
    Interpreter { names: &["nice"], value: "n", value_long: &["--adjustment"], ..PLAIN },
    Interpreter { names: &["nocache"], value: "n", ..PLAIN },
    Interpreter { names: &["stdbuf"], value: "ioe", value_long: &["--input", "--output", "--error"], ..PLAIN },
    Interpreter {
        names: &["setpriv"],
        value_long: &[
            "--reuid",
            "--regid",
            "--ruid",
            "--euid",
            "--rgid",
            "--egid",
            "--groups",
            "--inh-caps",
            "--ambient-caps",
            "--bounding-set",
            "--securebits",
            "--pdeathsig",
            "--ptracer",
            "--selinux-label",
            "--apparmor-profile",
            "--seccomp-filter",
            "--landlock-access",
            "--landlock-rule",
        ],
        ..PLAIN
    },
    Interpreter {
        names: &["ltrace"],
        value: "aADeFlnopsuwx",
        value_long: &["--align", "--output", "--library", "--config", "--indent"],
        ..PLAIN
    },
    Interpreter {
        // The letters of limits have their value, if any, in the same item.
        names: &["prlimit"],
        rest: "cdefilmnqrstuvxy",
        value: "po",
        value_long: &["--pid"],
        ..PLAIN
    },
    Interpreter { names: &["systemd-inhibit"], value_long: &["--what", "--who", "--why", "--mode"], ..PLAIN },
    Interpreter { names: &["tini"], value: "pe", ..PLAIN },
    Interpreter { names: &["dumb-init"], value: "r", value_long: &["--rewrite"], ..PLAIN },
    Interpreter { names: &["chpst", "runsvchpst"], value: "uUbe/nlLmdopfcrt", ..PLAIN },
    Interpreter { names: &["softlimit"], value: "acdflmnoprst", ..PLAIN },
    Interpreter { names: &["caffeinate"], value: "tw", ..PLAIN },
    Interpreter { names: &["faketime"], value: "fp", operands: Operands::Program(1), ..NONE },
    Interpreter { names: &["proxychains"], value: "f", ..PLAIN },
    Interpreter {
        names: &["bwrap"],
        value_long: &[
            "--args",
            "--argv0",
            "--userns",
            "--userns2",
            "--pidns",
            "--uid",
            "--gid",
            "--hostname",
            "--chdir",
            "--unsetenv",
            "--lock-file",
            "--sync-fd",
            "--remount-ro",
            "--exec-label",
            "--file-label",
            "--proc",
            "--dev",
            "--tmpfs",
            "--mqueue",
            "--dir",
            "--seccomp",
            "--add-seccomp-fd",
            "--block-fd",
            "--userns-block-fd",
            "--info-fd",
            "--json-status-fd",
            "--cap-add",
            "--cap-drop",
            "--perms",
            "--size",
            "--overlay-src",
            "--tmp-overlay",
            "--ro-overlay",
        ],
        pair_long: &[
            "--setenv",
            "--bind",
            "--bind-try",
            "--dev-bind",
            "--dev-bind-try",
            "--ro-bind",
            "--ro-bind-try",
            "--bind-fd",
            "--ro-bind-fd",
            "--file",
            "--bind-data",
            "--ro-bind-data",
            "--symlink",
            "--chmod",
        ],
        ..PLAIN
    },
    Interpreter {
        names: &["xvfb-run"],
        value: "nfepsw",
        value_long: &["--server-num", "--auth-file", "--error-file", "--xauth-protocol", "--server-args", "--wait"],
        ..PLAIN
    },
    Interpreter {
        names: &["torsocks"],
        value: "upPaf",
        value_long: &["--user", "--pass", "--address", "--port"],
        ..PLAIN
    },
    Interpreter {
        names: &["numactl"],
        value: "iwNCmpP",
        value_long: &[
            "--interleave",
            "--preferred",
            "--physcpubind",
            "--cpunodebind",
            "--membind",
            "--weighted-interleave",
        ],
        ..PLAIN
    },
    Interpreter { names: &["cpulimit"], value: "lpePm", value_long: &["--limit", "--pid", "--exe", "--path"], ..PLAIN },
    Interpreter {
        names: &["dbus-run-session"],
        loads_long: &["--dbus-daemon"],
        value_long: &["--config-file"],
        ..PLAIN
    },
    Interpreter { names: &["timelimit"], value: "sStT", ..PLAIN },
    Interpreter {
        names: &["rlwrap"],
        code: "z",
        code_long: &["--filter"],
        value: "bCDefgHlMPqstwSO",
        rest: "apm",
        ..PLAIN
    },
    Interpreter { names: &["authbind"], value_long: &["--depth"], ..PLAIN },
    Interpreter { names: &["aa-exec"], value: "pn", value_long: &["--profile", "--namespace"], ..PLAIN },
    Interpreter { names: &["fakechroot"], loads: "lc", loads_long: &["--lib", "--config-dir"], value: "edb", ..PLAIN },
    Interpreter { names: &["sshpass"], value: "pfdP", ..PLAIN },
    Interpreter { names: &["daemonize"], variables: "E", value: "ceoplu", ..PLAIN },
    Interpreter { names: &["pkexec"], value_long: &["--user"], code_on_stdin: true, ..PLAIN },
    Interpreter {
        names: &["systemd-nspawn"],
        variables: "E",
        variables_long: &["--setenv"],
        value: "DiMuSLpx",
        value_long: &["--directory", "--image", "--machine", "--user", "--bind", "--bind-ro", "--property"],
        ..PLAIN
    },
    Interpreter {
        names: &["start-stop-daemon"],
        code: "xa",
        code_long: &["--exec", "--startas"],
        value: "pnucrdgNIPRkO",
        value_long: &["--pidfile", "--name", "--user", "--chuid", "--chdir", "--group", "--nicelevel", "--umask"],
        permutes: true,
        ..NONE
    },
    Interpreter {
        names: &["perf"],
        loads_long: &["--exec-path"],
        commands: &[
            // Its settings name programs.
            Interpreter { names: &["config"], operands: Operands::AllCode(0), ..NONE },
            // The name of a script, or code in Perl or Python.
            Interpreter {
                names: &["script"],
                code: "sg",
                code_long: &["--script", "--gen-script", "--dlfilter", "--xed"],
                value: "ikFIScCt",
                operands: Operands::AllCode(0),
                ..NONE
            },
            Interpreter {
                names: &["report", "annotate", "diff", "top"],
                loads_long: &["--objdump", "--addr2line"],
                value: "ikstSdcpC",
                permutes: true,
                ..NONE
            },
            Interpreter {
                names: &["record", "stat", "trace", "mem", "c2c", "lock", "sched", "kmem", "ftrace"],
                value: "eFopcCtuDmrIGM",
                value_long: &["--event", "--output", "--freq", "--count", "--repeat", "--call-graph", "--delay"],
                operands: Operands::Program(0),
                ..NONE
            },
        ],
        ..NONE
    },
    Interpreter { names: &["rr"], commands: &[Interpreter { names: &["record"], value: "cnovM", ..PLAIN }], ..NONE },
    Interpreter {
        // `dotenv -f FILE run PROGRAM`, `dotenv -e FILE -- PROGRAM`, `dotenv PROGRAM`.
        names: &["dotenv", "dotenv-cli"],
        value: "fevpcq",
        value_long: &["--file", "--env", "--path", "--quote"],
        operands: Operands::Program(0),
        commands: &[Interpreter { names: &["run"], ..PLAIN }],
        ..NONE
    },
    Interpreter {
        names: &["hyperfine"],
        code: "pcS",
        code_long: &["--prepare", "--setup", "--cleanup", "--conclude", "--shell"],
        value: "wmMrsnL",
        operands: Operands::AllCode(0),
        permutes: true,
        ..NONE
    },
    Interpreter {
        names: &["sops"],
        commands: &[Interpreter {
            names: &["exec-env", "exec-file"],
            operands: Operands::AllCode(1),
            permutes: true,
            ..NONE
        }],
        ..NONE
    },
    Interpreter {
        names: &["nix-shell", "nix"],
        code_long: &["--run", "--command", "--expr"],
        code: "cE",
        operands: Operands::Code,
        permutes: true,
        code_after: &[&["run"], &["shell"], &["develop"], &["build"], &["eval"]],
        ..NONE
    },
];
