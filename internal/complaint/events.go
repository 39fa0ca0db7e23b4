package complaint

// The facts this room records. Those about a complaint are facts of its ticket;
// what was written in the records stays in them.
const (
	EventRecorded  = "complaint.recorded"
	EventAmended   = "complaint.amended"
	EventDescribed = "complaint.described"
	EventUpgraded  = "complaint.upgraded"
	EventExported  = "complaint.exported"
	EventSettings  = "complaint.settings_changed"
)

const subjectType = "complaint" // of facts about complaints as a whole
