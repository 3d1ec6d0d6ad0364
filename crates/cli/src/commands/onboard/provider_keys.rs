//! The keys of providers on the command line. A value may be `-` (a line of standard input), `@FILE`, or `env:NAME`,
//! which stays a reference.

/// A flag a provider; only the first two are shown in the help, the others are called alike.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Keys {
    /// Key of OpenAI; every other provider has such a flag. @FILE, env:NAME or - keeps it off the command line
    #[arg(long, value_name = "KEY")]
    openai_api_key: Option<String>,
    /// Key of Anthropic; every other provider has such a flag. @FILE, env:NAME or - keeps it off the command line
    #[arg(long, value_name = "KEY")]
    anthropic_api_key: Option<String>,
    #[arg(long, value_name = "KEY", hide = true)]
    gemini_api_key: Option<String>,
    #[arg(long, value_name = "KEY", hide = true)]
    openrouter_api_key: Option<String>,
    #[arg(long, value_name = "KEY", hide = true)]
    groq_api_key: Option<String>,
    #[arg(long, value_name = "KEY", hide = true)]
    mistral_api_key: Option<String>,
    #[arg(long, value_name = "KEY", hide = true)]
    deepseek_api_key: Option<String>,
    #[arg(long, value_name = "KEY", hide = true)]
    xai_api_key: Option<String>,
    #[arg(long, value_name = "KEY", hide = true)]
    together_api_key: Option<String>,
    #[arg(long, value_name = "KEY", hide = true)]
    fireworks_api_key: Option<String>,
    #[arg(long, value_name = "KEY", hide = true)]
    cerebras_api_key: Option<String>,
    #[arg(long, value_name = "KEY", hide = true)]
    moonshot_api_key: Option<String>,
    #[arg(long, value_name = "KEY", hide = true)]
    zai_api_key: Option<String>,
    #[arg(long, value_name = "KEY", hide = true)]
    nvidia_api_key: Option<String>,
    #[arg(long, value_name = "KEY", hide = true)]
    huggingface_api_key: Option<String>,
    #[arg(long, value_name = "KEY", hide = true)]
    custom_api_key: Option<String>,
}

impl Keys {
    /// The provider's id and what was given for it.
    pub(super) fn given(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("openai", &self.openai_api_key),
            ("anthropic", &self.anthropic_api_key),
            ("gemini", &self.gemini_api_key),
            ("openrouter", &self.openrouter_api_key),
            ("groq", &self.groq_api_key),
            ("mistral", &self.mistral_api_key),
            ("deepseek", &self.deepseek_api_key),
            ("xai", &self.xai_api_key),
            ("together", &self.together_api_key),
            ("fireworks", &self.fireworks_api_key),
            ("cerebras", &self.cerebras_api_key),
            ("moonshot", &self.moonshot_api_key),
            ("zai", &self.zai_api_key),
            ("nvidia", &self.nvidia_api_key),
            ("huggingface", &self.huggingface_api_key),
            ("custom", &self.custom_api_key),
        ];
        all.into_iter().filter_map(|(id, key)| Some((id, key.as_deref()?))).collect()
    }
}
