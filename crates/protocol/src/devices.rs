//! `device.*`: which devices may connect without the shared secret, who waits to be let in, and their tokens.

use serde::{Deserialize, Serialize};

use crate::{Method, Role, Scope};

/// `device.pair.list`: who waits, and who is paired.
pub enum List {}

impl Method for List {
    const NAME: &'static str = "device.pair.list";
    const SCOPE: Option<Scope> = Some(Scope::Pairing);
    type Params = ListParams;
    type Reply = ListReply;
}

/// `device.pair.approve`: lets a device in that waits. The caller must hold all that it asks for.
pub enum Approve {}

impl Method for Approve {
    const NAME: &'static str = "device.pair.approve";
    const SCOPE: Option<Scope> = Some(Scope::Pairing);
    type Params = RequestParams;
    type Reply = ApproveReply;
}

/// `device.pair.reject`: a device that waits is not let in.
pub enum Reject {}

impl Method for Reject {
    const NAME: &'static str = "device.pair.reject";
    const SCOPE: Option<Scope> = Some(Scope::Pairing);
    type Params = RequestParams;
    type Reply = RejectReply;
}

/// `device.pair.remove`: a device is forgotten, and its connections are closed.
pub enum Remove {}

impl Method for Remove {
    const NAME: &'static str = "device.pair.remove";
    const SCOPE: Option<Scope> = Some(Scope::Pairing);
    type Params = DeviceParams;
    type Reply = DeviceReply;
}

/// `device.pair.rename`: what people call a device.
pub enum Rename {}

impl Method for Rename {
    const NAME: &'static str = "device.pair.rename";
    const SCOPE: Option<Scope> = Some(Scope::Pairing);
    type Params = RenameParams;
    type Reply = RenameReply;
}

/// `device.token.rotate`: a device's token is exchanged. The one before is good until the new one is used, at most
/// for a minute after the new one was handed out.
pub enum Rotate {}

impl Method for Rotate {
    const NAME: &'static str = "device.token.rotate";
    const SCOPE: Option<Scope> = Some(Scope::Pairing);
    type Params = RotateParams;
    type Reply = RotateReply;
}

/// `device.token.revoke`: a device's token holds no longer, and its connections are closed.
pub enum Revoke {}

impl Method for Revoke {
    const NAME: &'static str = "device.token.revoke";
    const SCOPE: Option<Scope> = Some(Scope::Pairing);
    type Params = TokenParams;
    type Reply = RevokeReply;
}

/// `device.pair.setupCode`: a code that pairs one device, once, within ten minutes.
pub enum SetupCode {}

impl Method for SetupCode {
    const NAME: &'static str = "device.pair.setupCode";
    const SCOPE: Option<Scope> = Some(Scope::Admin);
    type Params = SetupCodeParams;
    type Reply = SetupCodeReply;
}

/// `device.pair.setupStatus`: what became of a setup code.
pub enum SetupStatus {}

impl Method for SetupStatus {
    const NAME: &'static str = "device.pair.setupStatus";
    const SCOPE: Option<Scope> = Some(Scope::Admin);
    type Params = SetupStatusParams;
    type Reply = SetupStatusReply;
}

/// `params` of `device.pair.list`: none.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ListParams {}

/// Who waits, and who is paired.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ListReply {
    /// Those that wait, the newest first.
    pub pending: Vec<Pending>,
    /// Those that may connect.
    pub paired: Vec<Paired>,
}

/// A device that waits to be let in; also the event `device.pair.requested`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// Names the request.
    pub request_id: String,
    /// Hex SHA-256 of the public key.
    pub device_id: String,
    /// The raw Ed25519 key, base64url without padding.
    pub public_key: String,
    /// What it calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Such as `linux`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Such as `iPhone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// The program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_mode: Option<String>,
    /// What it wants to be.
    pub role: Role,
    /// The same, as a list.
    pub roles: Vec<Role>,
    /// What it wants to be allowed to do.
    pub scopes: Vec<String>,
    /// Where it asked from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// Whether the device is known already.
    pub is_repair: bool,
    /// When it last asked, in Unix milliseconds.
    pub ts: u64,
}

/// A device that may connect.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Paired {
    /// Hex SHA-256 of the public key.
    pub device_id: String,
    /// The raw Ed25519 key, base64url without padding.
    pub public_key: String,
    /// What people call it, else what it calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Such as `linux`; another one has to be approved anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// As the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// The program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_mode: Option<String>,
    /// The first of the roles.
    pub role: Role,
    /// What it may be.
    pub roles: Vec<Role>,
    /// What it may do as an operator.
    pub scopes: Vec<String>,
    /// Unix milliseconds.
    pub created_at_ms: u64,
    /// Unix milliseconds.
    pub approved_at_ms: u64,
    /// `silent` (it knew the shared secret), `owner`, or `setup-code`.
    pub approved_via: String,
    /// When it last connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at_ms: Option<u64>,
    /// Where from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// Whether it is connected now.
    pub connected: bool,
    /// Its tokens, without what is secret of them.
    pub tokens: Vec<TokenInfo>,
}

/// About a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TokenInfo {
    /// What it makes of its holder.
    pub role: Role,
    /// What it lets its holder do.
    pub scopes: Vec<String>,
    /// Unix milliseconds.
    pub created_at_ms: u64,
    /// When it was last exchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at_ms: Option<u64>,
    /// Since when it holds no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at_ms: Option<u64>,
    /// When it was last used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at_ms: Option<u64>,
}

/// `params` of `device.pair.approve` and `.reject`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RequestParams {
    /// Of the request.
    pub request_id: String,
}

/// `device.pair.approve`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ApproveReply {
    /// Of the request.
    pub request_id: String,
    /// What it is now.
    pub device: Paired,
}

/// `device.pair.reject`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RejectReply {
    /// Of the request.
    pub request_id: String,
    /// The device that is not let in.
    pub device_id: String,
}

/// `params` of `device.pair.remove`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeviceParams {
    /// Of the device.
    pub device_id: String,
}

/// `device.pair.remove`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeviceReply {
    /// Of the device.
    pub device_id: String,
}

/// `params` of `device.pair.rename`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RenameParams {
    /// Of the device.
    pub device_id: String,
    /// 1 to 64 characters.
    pub label: String,
}

/// `device.pair.rename`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RenameReply {
    /// Of the device.
    pub device_id: String,
    /// As it is kept.
    pub label: String,
}

/// `params` of `device.token.rotate`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RotateParams {
    /// Of the device.
    pub device_id: String,
    /// Of which role the token is.
    pub role: Role,
    /// What the new one lets its holder do; as before where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
}

/// `device.token.rotate`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RotateReply {
    /// Of the device.
    pub device_id: String,
    /// Of which role the token is.
    pub role: Role,
    /// The new one; for the device itself alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// `withheld-cross-device`: the device is given it when it connects next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_delivery: Option<String>,
    /// What the new one lets its holder do.
    pub scopes: Vec<String>,
    /// Unix milliseconds.
    pub rotated_at_ms: u64,
}

/// `params` of `device.token.revoke`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TokenParams {
    /// Of the device.
    pub device_id: String,
    /// Of which role the token is.
    pub role: Role,
}

/// `device.token.revoke`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RevokeReply {
    /// Of the device.
    pub device_id: String,
    /// Of which role the token is.
    pub role: Role,
    /// Unix milliseconds.
    pub revoked_at_ms: u64,
}

/// The event `device.pair.resolved`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Resolved {
    /// Of the request.
    pub request_id: String,
    /// Of the device.
    pub device_id: String,
    /// `approved` or `rejected`.
    pub decision: String,
    /// Unix milliseconds.
    pub ts: u64,
}

/// The event `device.pair.changed`: a device was renamed or removed, or a token of it exchanged or revoked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// Of the device.
    pub device_id: String,
    /// `renamed`, `removed`, `token-rotated`, `token-revoked`.
    pub reason: String,
    /// Unix milliseconds.
    pub ts: u64,
}

/// `params` of `device.pair.setupCode`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SetupCodeParams {
    /// `full` (also when absent), `limited`: all but administration, or `node`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<String>,
}

/// `device.pair.setupCode`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SetupCodeReply {
    /// Names the code, and is no secret.
    pub setup_id: String,
    /// What the device is given: base64url of `{url, bootstrapToken}`.
    pub setup_code: String,
    /// Where it will connect.
    pub gateway_url: String,
    /// `token` or `password`: what the gateway asks of those that are not paired.
    pub auth: String,
    /// `full`, `limited` or `node`.
    pub access: String,
    /// Unix milliseconds.
    pub expires_at_ms: u64,
}

/// `params` of `device.pair.setupStatus`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SetupStatusParams {
    /// As it was issued.
    pub setup_id: String,
}

/// `device.pair.setupStatus`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SetupStatusReply {
    /// As it was issued.
    pub setup_id: String,
    /// `pending`, `used` or `expired`.
    pub status: String,
    /// The device that used it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// Unix milliseconds.
    pub expires_at_ms: u64,
}
