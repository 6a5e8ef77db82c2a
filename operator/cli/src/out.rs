//! What the program prints: takes text, writes it to standard output. A reader that went away, such as `head`, is no
//! error, and nothing is told to it any more; a disk that is full is one.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write as _};

/// Writes; ends the program when what is written would be lost and somebody waits for it.
#[expect(clippy::print_stderr, clippy::exit, reason = "there is no other way to tell, and nothing left to do")]
pub fn write(text: Arguments<'_>) {
    match io::stdout().lock().write_fmt(text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("error: cannot write to standard output: {error}");
            std::process::exit(1);
        }
        _ => {}
    }
}

/// Like `print!`, for readers that may go away.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => { $crate::out::write(format_args!($($text)*)) };
}

/// Like `println!`, for readers that may go away.
#[macro_export]
macro_rules! say_line {
    () => { $crate::out::write(format_args!("\n")) };
    ($($text:tt)+) => { $crate::out::write(format_args!("{}\n", format_args!($($text)+))) };
}
