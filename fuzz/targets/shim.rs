//! The command line of the shim that confines a process: arguments that end with NUL.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use windlass::fuzzing::shim_options;

pub fn target(data: &[u8]) {
    let args: Vec<OsString> = data.split(|&byte| byte == 0).map(|arg| OsString::from_vec(arg.to_vec())).collect();
    let ends = args.iter().any(|arg| arg == "--");
    assert!(!shim_options(args) || ends, "the program was taken for an option");
}
