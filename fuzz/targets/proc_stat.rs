//! Lines of processes in `/proc`, whose second field is what a program calls itself.

use windlass::fuzzing::proc_stat;

pub fn target(data: &[u8]) {
    let numbers = b") S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20";
    // Whatever a program calls itself, its line is read.
    let own = [b"7 (".as_slice(), data, numbers].concat();
    assert!(proc_stat(&own));
    let _ = proc_stat(data);
}
