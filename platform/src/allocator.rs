//! What allocates memory in Braid's programs. Each of them names it, because libraries and tests do not choose an allocator.
//!
//! A total is over in microseconds and allocates often, a few hundred bytes at a time: those blocks are mimalloc's. A reconcile allocates
//! columns of megabytes on one thread and gives them back on another: those are the system's, in no more arenas than there are processors, since
//! what is given back to one arena is of no use to a thread of another one
//! (`docs/decisions/0082-small-blocks-are-mimallocs.md`).

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;

use mimalloc::MiMalloc;

/// From this size on a block is the system's, in bytes.
const LARGE: usize = 4 * 1024;

/// The type of the allocator.
#[derive(Debug)]
pub struct Allocator;

/// The allocator.
pub const ALLOCATOR: Allocator = Allocator;

/// Lets the system's allocator have no more arenas than there are processors, whatever `MALLOC_ARENA_MAX` says. By itself it has up to eight for
/// each. A program calls it first, before it has other threads: arenas that are there already stay.
pub fn bound_arenas() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let processors = std::thread::available_parallelism().map_or(1, |processors| processors.get());
        // SAFETY: it only sets a number. It may refuse it; then there are more arenas.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, processors.try_into().unwrap_or(i32::MAX)) };
    }
}

fn is_large(size: usize) -> bool {
    size >= LARGE
}

// SAFETY: each of the two keeps the promises of `GlobalAlloc`. Which of them a block is of follows from its size, which is the same where
// it is allocated, given another size and freed; where another size makes it the other one's, it is a new block.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are handed on.
        unsafe { if is_large(layout.size()) { System.alloc(layout) } else { MiMalloc.alloc(layout) } }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { if is_large(layout.size()) { System.alloc_zeroed(layout) } else { MiMalloc.alloc_zeroed(layout) } }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above; a block of this size is of this one.
        unsafe { if is_large(layout.size()) { System.dealloc(block, layout) } else { MiMalloc.dealloc(block, layout) } }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above. The new layout is as valid as the caller promises `size` to be; both blocks have the bytes that are copied, and they
        // are different blocks.
        unsafe {
            match (is_large(layout.size()), is_large(size)) {
                (true, true) => System.realloc(block, layout, size),
                (false, false) => MiMalloc.realloc(block, layout, size),
                _ => {
                    let other = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                    if !other.is_null() {
                        ptr::copy_nonoverlapping(block, other, layout.size().min(size));
                        self.dealloc(block, layout);
                    }
                    other
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of a block of that size that another size was given after they had been written, as far as they are in both.
    fn kept(size: usize, other: usize, align: usize) -> Vec<u8> {
        let layout = |size: usize| Layout::from_size_align(size, align).expect("a layout");
        // SAFETY: the sizes are not 0, what is read was written, and each block is freed once, with its layout.
        unsafe {
            let block = ALLOCATOR.alloc_zeroed(layout(size));
            assert!(!block.is_null() && block.addr().is_multiple_of(align));
            assert!((0..size).all(|at| *block.add(at) == 0), "{size} bytes are zero");
            (0..size).for_each(|at| *block.add(at) = at as u8);
            let block = ALLOCATOR.realloc(block, layout(size), other);
            assert!(!block.is_null() && block.addr().is_multiple_of(align));
            let kept = (0..size.min(other)).map(|at| *block.add(at)).collect();
            ALLOCATOR.dealloc(block, layout(other));
            kept
        }
    }

    #[test]
    fn a_block_keeps_its_bytes_whichever_allocator_it_is_of() {
        let sizes = [1, 100, LARGE - 1, LARGE, LARGE + 1, 1 << 20];
        for size in sizes {
            for other in sizes {
                for align in [1, 8, 64, 8192] {
                    let expected: Vec<u8> = (0..size.min(other)).map(|at| at as u8).collect();
                    assert_eq!(kept(size, other, align), expected, "{size} → {other} bytes, aligned to {align}");
                }
            }
        }
    }

    #[test]
    fn blocks_are_freed_by_other_threads_than_those_that_allocated_them() {
        let layout = |n: usize| Layout::from_size_align(1 + n * 61, 16).expect("a layout");
        let (sender, receiver) = std::sync::mpsc::channel::<(usize, usize)>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for n in 0..500 {
                    // SAFETY: the size is not 0.
                    let block = unsafe { ALLOCATOR.alloc(layout(n)) };
                    assert!(!block.is_null());
                    // SAFETY: the block has a byte.
                    unsafe { *block = n as u8 };
                    sender.send((n, block.expose_provenance())).expect("somebody frees it");
                }
            });
            scope.spawn(move || {
                for (n, block) in receiver {
                    let block = ptr::with_exposed_provenance_mut::<u8>(block);
                    // SAFETY: it was allocated with this layout, written, and is freed once.
                    unsafe {
                        assert_eq!(*block, n as u8);
                        ALLOCATOR.dealloc(block, layout(n));
                    }
                }
            });
        });
    }
    /// Tells a process that it has one test.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    const ALONE: &str = "BRAID_TEST_ARENAS";

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn threads_share_as_many_arenas_as_there_are_processors() {
        if std::env::var_os(ALONE).is_none() {
            // Here, threads of other tests have arenas already.
            let mut alone = std::process::Command::new(std::env::current_exe().expect("this program"));
            let this = "allocator::tests::threads_share_as_many_arenas_as_there_are_processors";
            let output = alone.args(["--exact", this, "--nocapture"]).env(ALONE, "").output().expect("run");
            let printed = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
            assert!(output.status.success() && printed[0].contains("1 passed"), "{}\n{}", printed[0], printed[1]);
            return;
        }
        bound_arenas();
        // The main thread and that of the test have one each before.
        let most = std::thread::available_parallelism().expect("a number").get().max(2);
        let all_have_one = std::sync::Barrier::new(2 * most);
        std::thread::scope(|scope| {
            for _ in 0..2 * most {
                scope.spawn(|| {
                    let block = vec![1_u8; LARGE];
                    all_have_one.wait();
                    drop(block);
                });
            }
        });
        let arenas = arenas();
        assert!((1..=most).contains(&arenas), "{arenas} arenas");
    }

    /// How many arenas the system's allocator has.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn arenas() -> usize {
        use std::os::unix::ffi::OsStrExt;
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = std::ffi::CString::new(file.path().as_os_str().as_bytes()).expect("a path");
        // SAFETY: both texts end with a zero, and the stream is open until it is closed once.
        unsafe {
            let stream = libc::fopen(path.as_ptr(), c"w".as_ptr());
            assert!(!stream.is_null());
            let written = libc::malloc_info(0, stream);
            assert_eq!((written, libc::fclose(stream)), (0, 0));
        }
        std::fs::read_to_string(file.path()).expect("a text").matches("<heap nr=").count()
    }
}
