package customer

// Grades are the values a customer may have for the company, the highest first
// (CUS-6): 重点, 潜力, 普通; "" is not graded. Named customer.grade.<code>.
var Grades = []string{"a", "b", "c"}

// The stages of a customer's life (CUS-12), named customer.stage.<code>.
const (
	Potential  = "potential"
	Interested = "interested"
	Active     = "active"
	Dormant    = "dormant"
	Lost       = "lost"
)

// Stages in the order of a life.
var Stages = []string{Potential, Interested, Active, Dormant, Lost}

// Roles are what a contact of a company is asked for (CUS-20), named
// customer.role.<code>; "" is not known.
var Roles = []string{"decision", "business", "technical", "finance", "user"}

// RoleNone takes a contact's role away; see [ContactInput].
const RoleNone = "none"
