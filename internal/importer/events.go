package importer

import "bihuan/internal/event"

// The facts of this package; each row taken in is one of its room besides.
const (
	Started    = "import.started"
	Finished   = "import.finished"
	Failed     = "import.failed"
	Cancelled  = "import.cancelled"
	Downloaded = "import.downloaded" // the table or its result, with everything in clear
)

// Events lists the kinds.
var Events = []string{Started, Finished, Failed, Cancelled, Downloaded}

const subjectType = "import"

// Subject of the events of import id.
func Subject(id int64) event.Subject { return event.Subject{Type: subjectType, ID: id} }

// Fact is the data of the events.
type Fact struct {
	Name   string `json:"name"` // of the file
	Kind   Kind   `json:"kind"`
	Counts Counts `json:"counts,omitzero"`
}
