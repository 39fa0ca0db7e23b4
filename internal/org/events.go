package org

// What this room records. The sentence of each is the locale key "event.<kind>".
const (
	UserCreated         = "org.user_created"
	UserChanged         = "org.user_changed"
	UserRolesChanged    = "org.user_roles_changed"
	UserDeactivated     = "org.user_deactivated"
	UserReactivated     = "org.user_reactivated"
	UserLocked          = "org.user_locked"
	UserUnlocked        = "org.user_unlocked"
	UserSignedIn        = "org.user_signed_in"
	UserSignedOut       = "org.user_signed_out"
	SignInFailed        = "org.sign_in_failed"
	PasswordChanged     = "org.password_changed"
	PasswordReset       = "org.password_reset"
	AvailabilityChanged = "org.availability_changed"
	LeftWork            = "org.away_with_work" // he will be away, and has open work
	ProfileChanged      = "org.profile_changed"
	SessionRevoked      = "org.session_revoked"

	DepartmentCreated     = "org.department_created"
	DepartmentRenamed     = "org.department_renamed"
	DepartmentMoved       = "org.department_moved"
	DepartmentLeadChanged = "org.department_lead_changed"
	DepartmentDeactivated = "org.department_deactivated"
	DepartmentReactivated = "org.department_reactivated"

	RoleCreated = "org.role_created"
	RoleChanged = "org.role_changed"
	RoleDeleted = "org.role_deleted"

	TokenCreated = "org.token_created"
	TokenRevoked = "org.token_revoked"

	Seeded         = "org.seeded"
	SettingChanged = "settings.changed"

	AuditRead     = "audit.read"
	AuditExported = "audit.exported"
	AuditVerified = "audit.verified"
)

// Subject types of this room's events.
const (
	SubjectUser       = "user"
	SubjectDepartment = "department"
	SubjectRole       = "role"
	SubjectToken      = "token"
	SubjectSetting    = "setting"
	SubjectAudit      = "audit"
)

// Kinds lists all of them, for the guard tests and the filter of the audit page.
var Kinds = []string{
	UserCreated, UserChanged, UserRolesChanged, UserDeactivated, UserReactivated, UserLocked, UserUnlocked,
	UserSignedIn, UserSignedOut, SignInFailed, PasswordChanged, PasswordReset, AvailabilityChanged, LeftWork, ProfileChanged, SessionRevoked,
	DepartmentCreated, DepartmentRenamed, DepartmentMoved, DepartmentLeadChanged, DepartmentDeactivated, DepartmentReactivated,
	RoleCreated, RoleChanged, RoleDeleted, TokenCreated, TokenRevoked, Seeded, SettingChanged, AuditRead, AuditExported, AuditVerified,
}
