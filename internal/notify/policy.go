package notify

import "bihuan/internal/authz"

// PermManage sets up the ways, changes the table and sees the delivery log.
const PermManage authz.Permission = "notify.manage"

func init() {
	authz.Register(authz.Def{Permission: PermManage, Area: "notify", Default: map[string]authz.Level{authz.RoleAdmin: authz.All}})
}

// The facts this room records: what administrators decide. What people are told is
// no fact but follows from facts.
const (
	ChannelMade    = "notify.channel_made"
	ChannelChanged = "notify.channel_changed"
	ChannelRemoved = "notify.channel_removed"
	ChannelTested  = "notify.channel_tested"
	TableChanged   = "notify.table_changed"
	Retried        = "notify.delivery_retried"
	ChoicesChanged = "notify.choices_changed"
	PushAdded      = "notify.push_added"
	PushRemoved    = "notify.push_removed"
)

const subjectType = "notification"
