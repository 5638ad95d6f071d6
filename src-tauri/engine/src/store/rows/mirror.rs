//! Enums without fields, with the words that stand for them in a row.

/// Declares the row's enum and both conversions. A variant that is new in the core doesn't compile until it has a word.
macro_rules! mirror {
    ($row:ident of $domain:ty { $($variant:ident = $word:literal,)+ }) => {
        #[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
        pub(super) enum $row {
            $(#[serde(rename = $word)] $variant,)+
        }

        impl From<$domain> for $row {
            fn from(of: $domain) -> Self {
                match of { $(<$domain>::$variant => Self::$variant,)+ }
            }
        }

        impl From<$row> for $domain {
            fn from(row: $row) -> Self {
                match row { $($row::$variant => Self::$variant,)+ }
            }
        }
    };
}
