use super::*;

fn judged(argv: &[&str]) -> Verdict {
    let argv: Vec<Template> = argv.iter().map(|item| Template::parse(item).unwrap()).collect();
    judge(&argv)
}

/// The first item that must not be as it is, and why.
fn danger(line: &str) -> Option<(usize, Danger)> {
    let argv: Vec<&str> = line.split(' ').collect();
    judged(&argv).dangers.first().copied()
}

#[test]
fn code_is_found_wherever_a_program_takes_it() {
    for (line, at) in [
        ("sh -c {x}", 2),
        ("sh -ec {x}", 2),
        ("sh -c -e {x}", 3),
        ("sh -o pipefail -c {x}", 4),
        ("/bin/bash -c echo-{x}", 2),
        ("bash {script}", 1),
        ("bash scripts/{name}.sh", 1),
        ("python3 -c {x}", 2),
        ("python3.11 -cprint({x})", 1),
        ("/usr/bin/python3 -m {module}", 2),
        ("python3 -W ignore {script}", 3),
        ("perl -e {x}", 2),
        ("perl -lane {x}", 2),
        ("perl -M{module} -e 1", 1),
        ("node --eval {x}", 2),
        ("node --eval={x}", 1),
        ("node -e {x}", 2),
        ("ruby -e {x}", 2),
        ("php8.2 -r {x}", 2),
        ("ssh host ls {x}", 3),
        ("ssh -p 22 host {x}", 4),
        ("ssh -o {x} host ls", 2),
        ("ssh -oProxyCommand={x} host ls", 1),
        ("env -S {x}", 2),
        ("env --split-string={x}", 1),
        ("env LD_PRELOAD={x} true", 1),
        ("su app -c {x}", 3),
        ("su -c {x} app", 2),
        ("find . -exec sh -c {x} ;", 5),
        ("awk {x}", 1),
        ("gawk -F , -e {x}", 4),
        ("sed {x} file", 1),
        ("sed -n -e {x} file", 3),
        ("sed --expression={x} file", 1),
        ("git -c {x} status", 2),
        ("git ls-remote --upload-pack={x} url", 2),
        ("make NAME={x}", 1),
        ("tar -xf a.tar --to-command={x}", 3),
        ("psql -d db -c {x}", 4),
        ("sqlite3 file.db {x}", 2),
        ("watch ls {x}", 2),
        // Through programs that run a program.
        ("env A={x} sh -c {y}", 4),
        ("nice -n 5 sh -c {x}", 5),
        ("timeout -k 5 10s bash -c {x}", 6),
        ("sudo -u app -- sh -c {x}", 6),
        ("nohup setsid sh -c {x}", 4),
        ("flock /tmp/lock sh -c {x}", 4),
        ("flock /tmp/lock -c {x}", 3),
        ("ionice -c 3 stdbuf -oL perl -e {x}", 7),
        ("busybox sh -c {x}", 3),
        ("docker exec box sh -c {x}", 5),
        // Behind options whose values are not known here.
        ("unshare -n sh -c {x}", 4),
        ("time -p sh {x}", 3),
        ("ionice -t sh -c {x}", 4),
        ("strace -c bash -c {x}", 4),
        ("setsid -c sh -c {x}", 4),
        ("nsenter -t 1 -n sh -c {x}", 6),
        ("sg root -c {x}", 3),
        // Shells switch options off with a plus.
        ("bash +x -c {x}", 3),
        ("bash +o posix -c {x}", 4),
        ("bash +x {script}", 2),
        ("node -pe {x}", 2),
        // What is loaded besides the program leaves its place to the operand.
        ("perl -Ilib {script}", 2),
        ("perl -I lib {script}", 3),
        ("ruby -rjson {script}", 2),
        ("node -r lib.js {script}", 3),
        ("bash --rcfile x {script}", 3),
        ("php -d a=b {script}", 3),
        ("git -c a=b {command}", 3),
        ("git grep -O{x} word", 2),
        ("make -C {folder} all", 2),
        // A value among the letters of options may name more options.
        ("perl -l{x} f", 1),
        ("perl -w{x} f", 1),
        ("perl -i{x} f", 1),
        ("perl -i=.b{x} f", 1),
        ("perl -F{x} f", 1),
        ("perl -F/e/ {script}", 2),
        ("ruby -l{x} f", 1),
        ("sed -n{x} f", 1),
        ("sed -E{x} f", 1),
        ("sed -i.bake {x} f", 2),
        ("sed --exp{x} f", 1),
        ("python3 -B{x} f.py", 1),
        ("bash -x{x} cmd", 1),
        ("bash -o{x} c cmd", 1),
        ("bash -oc pipefail {x}", 3),
        ("tar -x{x} -f a", 1),
        ("env -i{x} ./work", 1),
        ("git grep -n{x} word", 2),
        ("git rebase -m{x} main", 2),
        ("ssh -n{x} host ls", 1),
        ("timeout 5 perl -l{x} f", 3),
        // Options that name a program.
        ("strace -o {x} ls", 2),
        ("strace -o{x} ls", 1),
        ("strace -c{x} ls", 1),
        ("split --filter={x} f", 1),
        ("split --filter {x} f", 2),
        ("install -s --strip-program={x} a b", 2),
        ("gcc -wrapper {x} a.c", 2),
        ("g++-12 a.c -wrapper {x}", 3),
        ("clang -fplugin={x} a.c", 1),
        ("cc -w{x} a.c", 1),
        ("capsh -- -c {x}", 3),
        ("capsh --user=app -- {script}", 3),
        ("tmux new-session -d {x}", 3),
        ("git difftool -x {x}", 3),
        ("git rebase -x{x} main", 2),
        ("git rebase --exec {x} main", 3),
        ("git -C folder clone -u {x} url", 5),
        ("git submodule foreach {x}", 3),
        ("git bisect run sh -c {x}", 5),
        ("git filter-branch --tree-filter {x}", 3),
        ("linux64 sh -c {x}", 3),
        ("setarch x86_64 sh -c {x}", 4),
        ("docker exec -i box sh -c {x}", 6),
        ("ld-linux-x86-64.so.2 --preload {x} ls", 2),
        ("ssh -I {x} host ls", 2),
    ] {
        assert_eq!(danger(line), Some((at, Danger::Code)), "{line}");
    }
}

#[test]
fn a_value_does_not_choose_the_program_or_the_option() {
    for (line, at) in [
        ("env {x}", 1),
        ("nice -n 5 {x}", 3),
        ("timeout 5 {x}", 2),
        ("sudo -- {x}", 2),
        ("find . -exec {x} ;", 3),
        ("xargs -a f {x}", 3),
        ("linux64 {x}", 1),
        ("setarch x86_64 {x}", 2),
        ("setarch -R {x}", 2),
        ("i386 {x}", 1),
        ("choom -n 1 -- {x}", 4),
        ("/lib64/ld-linux-x86-64.so.2 {x}", 1),
        ("ld-musl-x86_64.so.1 {x}", 1),
        ("setsid -f {x}", 2),
        ("time -p {x}", 2),
        ("fakeroot {x}", 1),
        ("capsh --shell={x} --", 1),
        ("git bisect run {x}", 3),
        ("docker exec box {x}", 3),
        ("kubectl exec pod -- {x}", 4),
    ] {
        assert_eq!(danger(line), Some((at, Danger::Program)), "{line}");
    }
    for line in ["tool -{x}", "tool --{x}", "tool --{x}={y}"] {
        assert_eq!(danger(line), Some((1, Danger::Option)), "{line}");
    }
}

#[test]
fn the_job_on_stdin_is_not_taken_for_code() {
    for line in [
        "sh",
        "bash -e",
        "python3",
        "perl -w",
        "env bash",
        "nice -n 5 sh",
        "sh -s {x}",
        "bash -",
        "sh -e -",
        "python3 -",
        "bash /dev/stdin",
        "sh +x",
        "su root",
        "unshare -n",
        "unshare -n sh",
        "setarch x86_64",
        "chroot /",
        "script -q /dev/null",
        "ssh host",
        "perl -Ilib",
        "make -f -",
        "make -f/dev/stdin all",
        "make -j -f -",
        "make --file=- all",
        "sed -f - file",
        "bash -c bash",
        "sh -ec /bin/sh",
        "bash -c exec\tbash",
        "su root -c bash",
        "flock lock --command=bash",
        "env -Sbash",
        "capsh --",
        "fakeroot",
        "fakeroot -- sh",
        "sudo -s",
        "ssh h bash",
        "ssh h sudo bash",
        "ssh -o BatchMode=yes h",
        "su -s /bin/sh root",
        "docker exec -i c sh",
        "podman exec -i c bash",
        "docker compose exec -T web sh",
        "kubectl exec -i p -- sh",
        "kubectl -n space exec -i p -c box -- sh",
        "at now",
        "batch",
    ] {
        let found = danger(line).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(found.1, Danger::Stdin, "{line}");
    }
    assert_eq!(danger("xargs -n 1 touch"), Some((0, Danger::StdinArguments)));
    assert_eq!(danger("xargs -a - touch"), Some((0, Danger::StdinArguments)));
    assert_eq!(danger("xargs -a list touch"), None);
}

#[test]
fn arguments_that_are_data_are_no_danger() {
    for line in [
        "./work {x}",
        "./work --to={x} -o{file}",
        "sh -c echo-$1 sh {x}",
        "bash script.sh -c {x}",
        "python3 script.py -c {x}",
        "python3 -c code -c {x}",
        "python3 -m mod {x}",
        "perl -e code {x}",
        "perl -lane code {x} {y}",
        "node script.js --eval {x}",
        "php -r code -- {x}",
        "awk -v name={x} {{print}} {file}",
        "sed -n p {file}",
        "sed -e p {file}",
        "jq -r .a {file}",
        "ssh {host} ls",
        "env A={x} ./work {y}",
        "timeout {n} ./work {x}",
        "nice -n 5 ./work {x}",
        "sudo -u app ./work {x}",
        "flock {file} ./work",
        "find {folder} -name {name}",
        "find . -exec grep {x} {{}} ;",
        "git ls-remote {repo}.git HEAD",
        "grep -e {x} file",
        "tar -xf {file}",
        "perl -Ilib script.pl {x}",
        "ruby -rjson -e code {x}",
        "bash +x script.sh {x}",
        "unshare -n ./work {x}",
        "sudo -u git ./work {x}",
        "ssh -n {host}",
        "su root -c date",
        "make -C folder all",
        "grep -n -- {x}",
        "grep -n{x} f",
        "tar -C{folder} -xf a.tar",
        "tar -cf{file} a",
        "cut -f{n}",
        "head -n{n}",
        "sort -k{n}",
        "sort -t{x} -S{n} file",
        "nice -n{n} ./work",
        "timeout -k{n} 5 ./work {x}",
        "env -u{name} ./work",
        "awk -F{x} -f a.awk",
        "sed -l{n} -n p",
        "sed -i.bake p {file}",
        "perl -i.bak -ne code {file}",
        "perl -F, -lane code {x}",
        "python3 -Wignore -B f.py {x}",
        "bash -x script.sh {x}",
        "bash -eo pipefail -c code sh {x}",
        "bash -c ./work",
        "bash -c ./work\tbash",
        "ssh -p{n} host ls",
        "ssh h ./work",
        "ssh -n h bash",
        "make -j{n} all",
        "make -f Makefile all",
        "xargs -a f ./work {x}",
        "strace -o trace ./work {x}",
        "linux64 ./work {x}",
        "choom -n {n} -- ./work {x}",
        "split -n{n} {file}",
        "install -m{mode} {file} folder",
        "gcc -O2 -I{folder} -o{file} -DNAME={x} a.c",
        "gcc -std={x} a.c",
        "sudo -u batch ./work {x}",
        "kubectl exec -n batch pod -- ./work {x}",
        "capsh --print",
        "capsh --user={x} -- script.sh {y}",
        "git log -n{n}",
        "git commit -m{x}",
        "git push -u origin {branch}",
        "git clean -x {folder}",
        "git rebase {branch}",
        "git submodule update {folder}",
        "git bisect bad {x}",
        "docker exec {box} ./work {x}",
        "docker run --rm -e{x} image ./work {y}",
        "docker rm a b {x}",
        "kubectl get pods {x}",
        "kubectl exec {pod} -- ./work {x}",
        "at -f script.sh now",
        "curl -o{file} {url}",
        "mysql -u{user} -p{password} db",
        "fakeroot ./work {x}",
    ] {
        assert_eq!(danger(line), None, "{line}");
    }
    // Of a program that is not known only the likely is told.
    assert_eq!(danger("./work -c {x}"), Some((2, Danger::Perhaps)));
    assert_eq!(danger("./work --eval={x}"), Some((1, Danger::Perhaps)));
}

#[test]
fn only_the_dashes_of_the_program_that_reads_the_values_end_its_options() {
    for (line, from) in [
        ("git ls-remote -- {x}", Some(1)),
        ("timeout -- 5 git ls-remote {x}", Some(4)),
        ("sudo -u app -- ./work {x}", Some(5)),
        ("sh -c git-$1 -- {x}", Some(4)),
        ("bash -- script.sh {x}", Some(3)),
        ("python3 -c code -- {x}", Some(3)),
        ("find -- {x}", None),
    ] {
        assert_eq!(judged(&line.split(' ').collect::<Vec<_>>()).options_end_from, from, "{line}");
    }
}

proptest::proptest! {
    #[test]
    fn no_argv_breaks_the_judge(items in proptest::collection::vec("(sh|env|find|-exec|-c|--|-|xargs|ssh|;|\\{x\\}|-e\\{x\\}|A=|sudo|é|-é)?", 1..8)) {
        let items: Vec<&str> = items.iter().map(String::as_str).collect();
        let verdict = judged(&items);
        proptest::prop_assert!(verdict.dangers.iter().all(|(at, _)| *at < items.len()));
    }
}
