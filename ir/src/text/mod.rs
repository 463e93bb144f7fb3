//! The language of `.lw` files: text into syntax trees, trees into scalar functions, and both back into text.
//!
//! In: text, or a [`Func`](crate::Func). Out: an [`ast::Module`], whose functions [`lower_module`] makes [`Func`](crate::Func)s
//! of and whose kernels the array front end reads; or text.
//!
//! Invariants: no text makes these functions panic or recurse without bound ([`MAX_SOURCE`], [`MAX_DEPTH`],
//! [`crate::func::MAX_NODES`]); `parse(print(x)) == x` for every function and every tree that was parsed.
//!
//! # Grammar
//!
//! ```text
//! module    = { fn | kernel }
//! fn        = "fn" name "(" [ param { "," param } ] ")" [ "->" types ] block
//! param     = name [ ":" dtype ]
//! types     = dtype | "(" dtype { "," dtype } ")"
//! kernel    = "kernel" name "(" [ operand { "," operand } ] ")" [ "->" arrays ] block
//! operand   = name ":" array
//! arrays    = array | "(" [ name ":" ] array { "," [ name ":" ] array } ")"
//! array     = dtype [ "[" [ extent { "," extent } ] "]" ]
//! extent    = name | integer
//! block     = "{" body "}"
//! body      = { "let" name "=" expr ";" } ( expr | "(" expr "," expr { "," expr } ")" )
//! expr      = the operators below, over postfix
//! postfix   = primary { "[" subscript { "," subscript } "]" | "." name "(" arguments ")" }
//! primary   = name | literal | "(" expr ")" | call | dtype "(" expr ")" | "bitcast" "(" expr "," dtype ")"
//!           | "if" expr block "else" ( block | if )
//! call      = name "(" arguments ")"
//! arguments = [ argument { "," argument } ] [ "," name "=" value { "," name "=" value } ]
//! argument  = expr | "[" [ expr { "," expr } ] "]"
//! value     = integer | "[" integer { "," integer } "]" | "true" | "false" | dtype
//! subscript = integer | [ integer ] ":" [ integer ] [ ":" [ integer ] ] | "newaxis" | "..."
//! ```
//!
//! A comma may stand before any closing bracket. Comments are `// …` and `/* … */`, which nest. A name is an ASCII
//! identifier that is no word of the language, or any text between backticks (with `\n`, `\r`, `\t`, `\\`, `` \` ``, `\u{…}`).
//!
//! Operators, from the loosest; all group to the left, but comparisons do not chain:
//!
//! | operators | meaning |
//! | --- | --- |
//! | `\|\|` | `or` |
//! | `&&` | `and` |
//! | `==` `!=` `<` `<=` `>` `>=` | `eq` `ne` `lt` `le` `gt` `ge` |
//! | `\|` | `or` |
//! | `^` | `xor` |
//! | `&` | `and` |
//! | `<<` `>>` | `shl` `shr` |
//! | `+` `-` | `add` `sub` |
//! | `*` `/` `%` `@` | `mul` `div` `rem` matrix product |
//! | `as` | cast |
//! | `-` `!` | `neg` `not` |
//! | `x[…]` `x.f(…)` | indexing, and a call with `x` as the first argument |
//!
//! A column of a table that [`expand`](crate::expand) reads is a function of its index, as in `tanh_f32_3(i)`.
//!
//! Beside the ops, `relu(x)` is `maximum(x, 0)` and `clamp(x, lo, hi)` is `minimum(maximum(x, lo), hi)`, unless a file has a
//! function of that name.
//!
//! Both sides of `&&` and `||` are evaluated and `if` is a select: there are no effects to order.
//!
//! Literals: `1`, `0xff`, `0b1010`, `0o17`, `1_000`, `1.5`, `1e-3`, `true`, `false`, `inf`, `nan` are weak: they take the type
//! of what they meet. A dtype behind a number makes it strong: `3i8`, `1.5f32`; so do the words `nan_f32`, `inf_f32` and
//! `true_bool`, and `bits_f32(0x7fc00001)` for exact bits (`bits_float(…)` for those of a weak float). A `-` directly before a
//! literal is part of it: `-128i8` is in range. `pi` and `tau` are weak floats unless a parameter or binding has that name.
//!
//! # Names
//!
//! A callee is the latest function above of that name, or else the op; so a file may define a `sigmoid` of its own, and a new
//! op changes no program. A function may not call itself or those below it. Two items of a file, two parameters and two
//! results never share a name; a `let` may shadow.
//!
//! # Types of functions
//!
//! A function with result types (`-> f32`) is typed: its parameters must all have types, and the results must come out as
//! declared; nothing is converted silently. A function without them stays polymorphic and its literals weak, though if all its
//! parameters have types it is checked with those. A call converts an argument to the parameter's type where that is given.

pub mod ast;

mod check;
mod diagnostic;
mod lex;
mod literal;
mod lower;
mod names;
mod parse;
mod print;
mod raise;
mod source;

pub use diagnostic::{Diagnostic, Diagnostics, MAX_SHOWN};
pub use lower::{Functions, built_in, lower_fn, lower_module};
pub use names::{
    ARRAY_FUNCTIONS, KEYWORDS, constant, free_names, is_identifier, is_reserved, op_names, quote, suggest,
};
pub use parse::{MAX_DEPTH, MAX_SOURCE, parse, parse_expr_body};
pub use print::{print_block, print_expr, print_func, print_module};
pub use raise::raise;
pub use source::Source;
