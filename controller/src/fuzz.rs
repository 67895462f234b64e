//! What fuzzing needs: inputs that were made from good ones by spoiling them, and a meter for memory.
//!
//! Proptest rather than cargo-fuzz: it is there already, works with the stable compiler, and is part of every run of the
//! tests. What it lacks, an eye for new branches, corpora of real inputs make up for: see `controller/corpora/`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, which also counts what each thread holds.
struct Meter;

#[global_allocator]
static METER: Meter = Meter;

fn count(bytes: isize) {
    // A thread that is ending has no counter any more, and is not measured.
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

#[allow(
    unsafe_code,
    reason = "the trait of allocators is unsafe; all it does is handed on to the system's"
)]
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The most memory, in bytes, that this thread held more than before while it did something.
pub fn peak_of(work: impl FnOnce()) -> usize {
    let before = LIVE.get();
    PEAK.set(before);
    work();
    (PEAK.get() - before).try_into().unwrap_or(0)
}

/// The inputs of a corpus: `controller/corpora/<name>/`.
pub fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpora").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the corpus is there")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|file| std::fs::read(file).expect("reads"))
        .collect()
}

#[derive(Debug, Clone)]
enum Spoiling {
    Cut(Index, usize),
    Insert(Index, Vec<u8>),
    Repeat(Index, usize, usize),
    Swap(Index, u8),
    Take(Index, Index, Index, usize),
}

/// One of these inputs, spoiled in a few places: something cut out, put in, repeated, changed, or taken from another.
pub fn spoiled(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let spoiling = prop_oneof![
        (any::<Index>(), 1usize..40).prop_map(|(at, length)| Spoiling::Cut(at, length)),
        (any::<Index>(), proptest::collection::vec(any::<u8>(), 1..8))
            .prop_map(|(at, bytes)| Spoiling::Insert(at, bytes)),
        (any::<Index>(), 1usize..60, 1usize..20)
            .prop_map(|(at, length, times)| Spoiling::Repeat(at, length, times)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Spoiling::Swap(at, byte)),
        (any::<Index>(), any::<Index>(), any::<Index>(), 1usize..60)
            .prop_map(|(at, other, from, length)| Spoiling::Take(at, other, from, length)),
    ];
    (any::<Index>(), proptest::collection::vec(spoiling, 0..6)).prop_map(move |(seed, spoilings)| {
        let mut bytes = seed.get(&seeds).clone();
        for spoiling in spoilings {
            spoil(&mut bytes, &spoiling, &seeds);
        }
        bytes
    })
}

fn spoil(bytes: &mut Vec<u8>, spoiling: &Spoiling, seeds: &[Vec<u8>]) {
    let place = |at: &Index, length: usize| at.index(length + 1);
    let size = bytes.len();
    match spoiling {
        Spoiling::Cut(at, length) => {
            let at = place(at, size);
            bytes.drain(at..(at + length).min(size));
        }
        Spoiling::Insert(at, more) => {
            let at = place(at, size);
            bytes.splice(at..at, more.iter().copied());
        }
        Spoiling::Repeat(at, length, times) => {
            let at = place(at, size);
            let piece = bytes[at..(at + length).min(size)].repeat(*times);
            bytes.splice(at..at, piece);
        }
        Spoiling::Swap(at, byte) if size > 0 => bytes[at.index(size)] = *byte,
        Spoiling::Swap(..) => {}
        Spoiling::Take(at, other, from, length) => {
            let other = other.get(seeds);
            let from = place(from, other.len());
            let piece = other[from..(from + length).min(other.len())].to_vec();
            let at = place(at, size);
            bytes.splice(at..at, piece);
        }
    }
}

#[test]
fn the_meter_sees_what_is_held_at_once() {
    let peak = peak_of(|| {
        for _ in 0..10 {
            drop(std::hint::black_box(vec![1u8; 100_000]));
        }
    });
    assert!((100_000..200_000).contains(&peak), "{peak}");
}
