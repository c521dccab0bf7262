//! The programs that take some of their arguments as code, or as a program to run.
//!
//! Only what decides the meaning of an argument is listed: options that take code, options that take another value (so
//! that the value is not taken for an operand), and what the operands are.
//!
//! Longer than 400 lines because each program is a row of one table.

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
    pub(super) names: &'static [&'static str],
    /// One-letter options whose value is code.
    pub(super) code: &'static str,
    /// Options of two letters whose value is code, and that may stand among others of one letter: `-qTT` of zip.
    pub(super) code_two: &'static [&'static str],
    /// Long options whose value is code, with as many dashes as they have.
    pub(super) code_long: &'static [&'static str],
    /// The same for code that is loaded besides the program, so that the operand still is the program.
    pub(super) loads: &'static str,
    pub(super) loads_long: &'static [&'static str],
    /// How long options begin whose value follows in the same item, and is code: `-javaagent:FILE`.
    pub(super) code_begin: &'static [&'static str],
    /// One-letter options that take another value.
    pub(super) value: &'static str,
    /// One-letter options whose value, if there is any, is the rest of their item, never the next one.
    pub(super) rest: &'static str,
    /// The same where the rest may hold more options.
    pub(super) open_rest: &'static str,
    /// Long options that take another value from the next item.
    pub(super) value_long: &'static [&'static str],
    /// Long options that take two values from the next items: a name and what it stands for.
    pub(super) pair_long: &'static [&'static str],
    /// One-letter options, and long ones, whose value is a variable of the program that it runs: `NAME=VALUE`.
    pub(super) variables: &'static str,
    pub(super) variables_long: &'static [&'static str],
    /// If there are any: its options are whole words behind a dash or a plus, and all but these take the next item.
    pub(super) flags: &'static [&'static str],
    /// Is an operand that begins with a plus a command of its own (`vim +COMMAND`)?
    pub(super) plus: bool,
    /// How operands begin that are more than a file: `@FILE` of options, `|COMMAND`, `msl:SCRIPT`.
    pub(super) marks: &'static [&'static str],
    /// Its commands, by the first operand, that take what follows otherwise.
    pub(super) commands: &'static [Interpreter],
    pub(super) operands: Operands,
    /// Is what stands before the program (`Operands::Program`) what runs, too: an image?
    pub(super) runs_first: bool,
    /// Does it read options after its operands too?
    pub(super) permutes: bool,
    /// Does it take its stdin for arguments of the program?
    pub(super) stdin_is_arguments: bool,
    /// Does it run its stdin, as a shell does or as code of its own, if it is given nothing else to run?
    pub(super) code_on_stdin: bool,
    /// Options of one letter, and long ones, that keep it from its stdin.
    pub(super) leaves_stdin: &'static str,
    pub(super) leaves_stdin_long: &'static [&'static str],
    /// Operands, in order, after which the next one is code: those of `redis-cli eval CODE`.
    pub(super) code_after: &'static [&'static [&'static str]],
    /// How the names of files of code end, where an operand may be such a file or something else.
    pub(super) scripts: &'static [&'static str],
}

pub(super) const NONE: Interpreter = Interpreter {
    names: &[],
    code: "",
    code_two: &[],
    code_long: &[],
    loads: "",
    loads_long: &[],
    code_begin: &[],
    value: "",
    rest: "",
    open_rest: "",
    value_long: &[],
    pair_long: &[],
    variables: "",
    variables_long: &[],
    flags: &[],
    plus: false,
    marks: &[],
    commands: &[],
    operands: Operands::Data,
    runs_first: false,
    permutes: false,
    stdin_is_arguments: false,
    code_on_stdin: false,
    leaves_stdin: "",
    leaves_stdin_long: &[],
    code_after: &[],
    scripts: &[],
};

/// The shells. Their `-c` takes no value: it makes the first operand code instead of a file of code.
pub(super) const SHELLS: [&str; 14] =
    ["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "fish", "yash", "csh", "tcsh", "rbash", "posh", "rc"];

pub(super) const SHELL: Interpreter = Interpreter {
    names: &SHELLS,
    code_long: &["--command"],
    loads: "C",
    loads_long: &["--init-command", "--rcfile", "--init-file"],
    value: "oO",
    operands: Operands::CodeOrStdin,
    ..NONE
};

pub(super) const PYTHON: Interpreter = Interpreter {
    names: &["python", "pypy", "micropython"],
    code: "cm",
    // A category of warnings (`-W`) and some of `-X` are imported.
    loads: "WX",
    value_long: &["--check-hash-based-pycs"],
    operands: Operands::CodeOrStdin,
    ..NONE
};

pub(super) const ALL: &[Interpreter] = &[
    // Languages.
    SHELL,
    PYTHON,
    Interpreter {
        names: &["perl"],
        code: "eE",
        loads: "MmI",
        rest: "DVx",
        open_rest: "Fi",
        operands: Operands::CodeOrStdin,
        ..NONE
    },
    Interpreter {
        names: &["ruby", "jruby"],
        code: "e",
        loads: "rI",
        value: "CEF",
        rest: "ix",
        operands: Operands::CodeOrStdin,
        ..NONE
    },
    Interpreter {
        names: &["node", "nodejs", "bun", "tsx", "ts-node"],
        code: "ep",
        code_long: &["--eval", "--print"],
        loads: "r",
        loads_long: &[
            "--require",
            "--import",
            "--loader",
            "--experimental-loader",
            "--env-file",
            "--env-file-if-exists",
            "--test-reporter",
            "--openssl-config",
            "--snapshot-blob",
            "--experimental-policy",
            "--experimental-config-file",
        ],
        value: "C",
        value_long: &["--conditions"],
        operands: Operands::CodeOrStdin,
        ..NONE
    },
    Interpreter {
        names: &["php", "php-cgi"],
        code: "rBREfF",
        code_long: &["--run", "--file", "--process-begin", "--process-code", "--process-end", "--process-file"],
        loads: "dzc",
        loads_long: &["--define"],
        value: "tS",
        operands: Operands::CodeOrStdin,
        ..NONE
    },
    Interpreter { names: &["lua", "luajit", "texlua"], code: "e", loads: "l", operands: Operands::CodeOrStdin, ..NONE },
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
            "gnuplot",
            "octave",
            "ocaml",
            "sbcl",
            "raku",
            "m4",
        ],
        code: "eEcLlgt",
        code_long: &["--eval", "--print", "--load", "--expr"],
        operands: Operands::CodeOrStdin,
        ..NONE
    },
    Interpreter {
        names: &["deno", "pwsh", "powershell"],
        code_long: &["-c", "-Command", "-EncodedCommand", "-e", "-ec", "-f", "-File", "-command", "-file"],
        value_long: &["-ExecutionPolicy", "-ep", "-ex", "-WorkingDirectory", "-wd"],
        operands: Operands::AllCode(0),
        code_on_stdin: true,
        ..NONE
    },
    Interpreter { names: &["erl"], code_long: &["-eval", "-run", "-s"], permutes: true, ..NONE },
    Interpreter {
        names: &["sed", "gsed"],
        code: "ef",
        code_long: &["--expression", "--file"],
        value: "l",
        rest: "i",
        value_long: &["--line-length"],
        operands: Operands::Code,
        permutes: true,
        ..NONE
    },
    Interpreter {
        names: &["awk", "gawk", "mawk", "nawk", "goawk", "original-awk", "bwk"],
        code: "efE",
        code_long: &["--source", "--file", "--exec"],
        // `-W exec FILE`, `-W source=CODE`.
        loads: "lidW",
        loads_long: &["--load", "--include"],
        value: "Fv",
        value_long: &["--field-separator", "--assign"],
        operands: Operands::Code,
        ..NONE
    },
    Interpreter {
        names: &["jq", "yq"],
        code: "f",
        code_long: &["--from-file"],
        loads: "L",
        value_long: &["--indent"],
        pair_long: &["--arg", "--argjson", "--slurpfile", "--rawfile", "--argfile"],
        operands: Operands::Code,
        permutes: true,
        ..NONE
    },
    Interpreter {
        names: &["bc", "dc"],
        code: "ef",
        code_long: &["--expression", "--file"],
        operands: Operands::AllCode(0),
        permutes: true,
        code_on_stdin: true,
        ..NONE
    },
    Interpreter {
        names: &["make", "gmake", "ninja", "just"],
        rest: "jl",
        code: "CfEIo",
        code_long: &["--eval", "--file", "--makefile", "--include-dir", "--directory"],
        operands: Operands::AllCode(0),
        permutes: true,
        ..NONE
    },
    // Tools with options that take a command.
    GIT,
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
        value: "fCTXbgKNV",
        permutes: true,
        ..NONE
    },
    Interpreter {
        names: &["rsync"],
        code: "e",
        code_long: &["--rsh", "--rsync-path"],
        value: "BfT",
        permutes: true,
        ..NONE
    },
    Interpreter {
        names: &["sort", "gsort"],
        code_long: &["--compress-program"],
        value: "kStTo",
        permutes: true,
        ..NONE
    },
    Interpreter { names: &["split", "gsplit"], code_long: &["--filter"], value: "abClnt", permutes: true, ..NONE },
    Interpreter {
        names: &["install", "ginstall"],
        code_long: &["--strip-program"],
        value: "gmotS",
        permutes: true,
        ..NONE
    },
    Interpreter {
        names: &COMPILERS,
        code: "B",
        code_long: &[
            "-wrapper",
            "-specs",
            "--specs",
            "-fplugin",
            "-fpass-plugin",
            "-Xclang",
            "-Xlinker",
            "-Xassembler",
            "-Xpreprocessor",
            "-mllvm",
            "-load",
            "-fuse-ld",
            "--ld-path",
            "--config",
        ],
        // A comma begins another option of the linker, the assembler, the preprocessor.
        code_begin: &["-Wl,", "-Wa,", "-Wp,"],
        value: "DUILlox",
        rest: "Og",
        marks: &["@"],
        permutes: true,
        ..NONE
    },
    Interpreter {
        names: &["curl"],
        code: "K",
        code_long: &["--config"],
        loads_long: &["--engine"],
        value: "AbcCdDeEFHmoPQrtTuUwxXyYz",
        permutes: true,
        ..NONE
    },
    Interpreter {
        names: &["vi", "vim", "nvim", "ex", "view", "rvim", "gvim", "vimdiff", "rview", "gview"],
        code: "cSsu",
        code_long: &["--cmd"],
        plus: true,
        permutes: true,
        code_on_stdin: true,
        ..NONE
    },
    Interpreter {
        // What its keys do is code: `shell`, `pipe`, and the variables `LESSOPEN` and `LESSEDIT`.
        names: &["less"],
        code: "k",
        code_long: &["--cmd", "--lesskey-file", "--lesskey-src", "--lesskey-content"],
        value: "bhjoOpPtTxyz",
        plus: true,
        permutes: true,
        ..NONE
    },
    Interpreter { names: &["more", "most"], plus: true, permutes: true, ..NONE },
    Interpreter {
        names: &["emacs"],
        code: "fl",
        code_long: &["--eval", "--execute", "--funcall", "--load", "--script"],
        permutes: true,
        ..NONE
    },
    Interpreter {
        // The program that they examine runs, or loads scripts that lie beside it.
        names: &["gdb", "lldb", "rust-gdb", "rust-lldb"],
        code: "xokKQSsD",
        code_long: &[
            "-ex",
            "-iex",
            "-ix",
            "-eiex",
            "-eix",
            "--eval-command",
            "--init-eval-command",
            "--init-command",
            "--command",
            "--one-line",
            "--one-line-before-file",
            "--source",
            "--data-directory",
        ],
        value: "pcdbnf",
        value_long: &["-pid", "-core", "--pid", "--core", "--cd", "--tty", "-tty", "--attach-pid"],
        operands: Operands::Program(0),
        code_on_stdin: true,
        ..NONE
    },
];

/// The compilers, which may stand behind the name of their target: `x86_64-linux-gnu-gcc`.
const COMPILERS: [&str; 10] = ["gcc", "g++", "cc", "c++", "cpp", "clang", "clang++", "gfortran", "gccgo", "gdc"];

/// How git takes what stands before its command.
const GIT: Interpreter = Interpreter {
    names: &["git"],
    // The settings of a repository name programs.
    loads: "cC",
    loads_long: &[
        "--git-dir",
        "--config-env",
        "--exec-path",
        "--upload-pack",
        "--receive-pack",
        "--exec",
        "--extcmd",
        "--open-files-in-pager",
        "--tree-filter",
        "--index-filter",
        "--parent-filter",
        "--msg-filter",
        "--env-filter",
        "--commit-filter",
        "--tag-name-filter",
        "--sendmail-cmd",
        "--to-cmd",
        "--cc-cmd",
        "--header-cmd",
        "--smtp-server",
        "--access-hook",
    ],
    value_long: &["--work-tree", "--namespace"],
    operands: Operands::Code,
    permutes: true,
    ..NONE
};

/// How most of its commands take their arguments: none of their letters takes code (`git switch -c BRANCH`).
const OF_MOST: Interpreter = Interpreter { loads: "", value: "C", rest: "nmSGLUbFtjcBO", ..GIT };

/// The commands of git with options of their own that take code.
const OF_GIT: &[Interpreter] = &[
    Interpreter { names: &["rebase"], loads: "x", value: "C", ..GIT },
    // The name of a tool leads to a script of that name.
    Interpreter {
        names: &["difftool", "mergetool"],
        loads: "xt",
        loads_long: &["--extcmd", "--tool"],
        value: "C",
        ..GIT
    },
    Interpreter {
        names: &["svn"],
        loads: "",
        loads_long: &["--authors-prog", "--config-dir", "--template"],
        value: "ArTtbR",
        ..GIT
    },
    Interpreter {
        names: &["instaweb", "web--browse"],
        loads: "dmbtc",
        loads_long: &["--httpd", "--module-path", "--browser", "--tool", "--config"],
        value: "p",
        ..GIT
    },
    Interpreter { names: &["shell"], loads: "c", loads_long: &[], value: "", ..GIT },
    Interpreter {
        names: &["filter-repo"],
        loads: "",
        loads_long: &[
            "--filename-callback",
            "--file-info-callback",
            "--message-callback",
            "--name-callback",
            "--email-callback",
            "--refname-callback",
            "--blob-callback",
            "--commit-callback",
            "--tag-callback",
            "--reset-callback",
            "--done-callback",
        ],
        ..GIT
    },
    // The name of a hook is that of a program in the repository.
    Interpreter { names: &["hook"], loads: "", operands: Operands::AllCode(2), ..GIT },
    Interpreter {
        names: &["clone", "init"],
        loads: "cu",
        loads_long: &["--config", "--upload-pack", "--template"],
        value: "bo",
        rest: "j",
        ..GIT
    },
    Interpreter { names: &["grep"], loads: "O", value: "", rest: "efABCm", ..GIT },
];

/// How git takes the arguments of this command.
pub(super) fn of_git(command: &str) -> &'static Interpreter {
    OF_GIT.iter().find(|known| known.names.contains(&command)).unwrap_or(&OF_MOST)
}

/// The name of a compiler without that of its target, and of its threads (`x86_64-w64-mingw32-gcc-posix`).
pub(super) fn without_target(called: &str) -> &str {
    let bare = called.strip_suffix("-posix").or_else(|| called.strip_suffix("-win32")).map_or(called, name);
    bare.rsplit('-').next().filter(|last| COMPILERS.contains(last)).unwrap_or(called)
}

/// The interpreter of a name with that of the machine it was built for behind it: `perl5.36-x86_64-linux-gnu`.
pub(super) fn of_build(file: &str) -> Option<&'static Interpreter> {
    let (called, build) = file.split_once('-')?;
    let of_it = |known: &&Interpreter| known.names.contains(&name(called));
    ALL.iter().find(|known| build.contains("linux") && of_it(known))
}

/// How modules of Python that run code take the arguments behind their name (`python -m timeit CODE`).
pub(super) const MODULES: &[Interpreter] = &[
    Interpreter { names: &["cProfile", "profile"], code: "m", value: "os", operands: Operands::Code, ..NONE },
    Interpreter {
        names: &["pdb", "ipdb", "pudb"],
        code: "m",
        loads: "c",
        loads_long: &["--command"],
        operands: Operands::Code,
        ..NONE
    },
    Interpreter { names: &["trace"], value: "fC", value_long: TRACED, operands: Operands::Code, ..NONE },
    Interpreter { names: &["timeit"], loads: "s", loads_long: &["--setup"], value: "nru", ..STATEMENTS },
    Interpreter { names: &["unittest"], loads: "spt", value: "k", permutes: true, ..STATEMENTS },
    Interpreter { names: &["doctest", "pydoc", "inspect"], value: "o", ..STATEMENTS },
    Interpreter { names: &["runpy", "IPython", "idlelib"], code: "cm", loads: "r", operands: Operands::Code, ..NONE },
    Interpreter {
        names: &["coverage"],
        commands: &[Interpreter { names: &["run"], code: "m", operands: Operands::Code, ..NONE }],
        ..NONE
    },
    Interpreter { names: &["code", "asyncio"], code_on_stdin: true, ..NONE },
];

/// All operands name code, or hold it.
const STATEMENTS: Interpreter = Interpreter { operands: Operands::AllCode(0), ..NONE };
/// Options of `trace`.
const TRACED: &[&str] = &["--file", "--coverdir", "--ignore-module", "--ignore-dir"];

/// Is this a shell?
pub(super) fn is_shell(program: &str) -> bool {
    SHELLS.contains(&name(program))
}

/// Is this literal operand the stdin of the program?
pub(super) fn is_stdin(operand: &str) -> bool {
    matches!(operand, "-" | "/dev/stdin" | "/dev/fd/0" | "/proc/self/fd/0")
}

/// What systems put behind the name of a program of which there are several builds: `vim.tiny`, `bash-static`.
const BUILDS: [&str; 20] = [
    "basic",
    "tiny",
    "nox",
    "gtk",
    "pgtk",
    "lucid",
    "athena",
    "motif",
    "traditional",
    "openbsd",
    "static",
    "dbg",
    "debug",
    "real",
    "distrib",
    "orig",
    "bin",
    "exe",
    "ws",
    "rs",
];

/// The name of a program without its folder, its version and its build: `/usr/bin/python3.11-dbg` is `python`.
pub(super) fn name(program: &str) -> &str {
    let file = file_name(program);
    let mut called = file;
    loop {
        let bare = without_version(called);
        let build = |build: &&str| bare.strip_suffix(*build)?.strip_suffix(['.', '-']).filter(|bare| !bare.is_empty());
        match BUILDS.iter().find_map(build) {
            Some(shorter) => called = shorter,
            None => return if bare.is_empty() { file } else { bare },
        }
    }
}

/// Python has letters behind its version: `python3.13t`.
fn without_version(called: &str) -> &str {
    let called = match called.trim_end_matches(['d', 'm', 't', 'u']) {
        shorter if called.starts_with("py") && shorter.ends_with(|last: char| last.is_ascii_digit()) => shorter,
        _ => called,
    };
    called.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.' || letter == '-')
}

/// The name of a program without its folder.
pub(super) fn file_name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or_default()
}
