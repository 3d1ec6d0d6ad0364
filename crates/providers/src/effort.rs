//! How much a model is to think before it answers, in the words of the product and of the vendors.

/// How much a model is to think. Where nobody says anything, the vendor's own measure holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// As little as there is.
    Minimal,
    /// A little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// As much as there is.
    Highest,
}

impl Effort {
    /// What a level of a conversation comes to: `off` and `adaptive` leave it to the model, and so does what nobody
    /// knows.
    pub fn of_level(level: &str) -> Option<Self> {
        match level {
            "minimal" => Some(Self::Minimal),
            "low" => Some(Self::Low),
            "medium" => Some(Self::Medium),
            "high" => Some(Self::High),
            "xhigh" | "max" => Some(Self::Highest),
            _ => None,
        }
    }

    /// The word of OpenAI's dialect.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Highest => "xhigh",
        }
    }

    /// The tokens that Anthropic's models may think with; 1024 is the least that they take.
    pub(crate) fn tokens(self) -> u32 {
        match self {
            Self::Minimal => 1024,
            Self::Low => 2048,
            Self::Medium => 8192,
            Self::High => 16_384,
            Self::Highest => 32_768,
        }
    }
}
