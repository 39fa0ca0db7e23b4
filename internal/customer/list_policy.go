package customer

import (
	"context"

	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/job"
)

// Permissions over lists.
const (
	PermExport     authz.Permission = "customer.export"
	PermShareViews authz.Permission = "customer.share_views"
	PermSegments   authz.Permission = "customer.segments_manage"
)

func init() {
	authz.Register(
		authz.Def{Permission: PermExport, Area: area, Scoped: true, Default: map[string]authz.Level{
			authz.RoleAdmin: authz.All, authz.RoleHead: authz.Below, authz.RoleSupervisor: authz.Below}},
		authz.Def{Permission: PermShareViews, Area: area, Default: map[string]authz.Level{
			authz.RoleAdmin: authz.All, authz.RoleHead: authz.All, authz.RoleSupervisor: authz.All}},
		authz.Def{Permission: PermSegments, Area: area, Default: map[string]authz.Level{
			authz.RoleAdmin: authz.All, authz.RoleHead: authz.All, authz.RoleSupervisor: authz.All}},
	)
}

// The facts about lists.
const (
	ViewSaved        = "customer.view_saved"
	ViewEdited       = "customer.view_edited"
	ViewDeleted      = "customer.view_deleted"
	SegmentCreated   = "customer.segment_created"
	SegmentEdited    = "customer.segment_edited"
	SegmentDeleted   = "customer.segment_deleted"
	BulkStarted      = "customer.bulk_started"
	BulkFinished     = "customer.bulk_finished"
	BulkCancelled    = "customer.bulk_cancelled"
	ExportRequested  = "customer.export_requested"
	ExportRefused    = "customer.export_refused"
	ExportReady      = "customer.export_ready"
	ExportFailed     = "customer.export_failed"
	ExportCancelled  = "customer.export_cancelled"
	ExportRevealed   = "customer.export_revealed" // which customers' clear values are in the file
	ExportDownloaded = "customer.export_downloaded"
)

// ListKinds lists the facts about lists.
var ListKinds = []string{ViewSaved, ViewEdited, ViewDeleted, SegmentCreated, SegmentEdited, SegmentDeleted, BulkStarted, BulkFinished, BulkCancelled,
	ExportRequested, ExportRefused, ExportReady, ExportFailed, ExportCancelled, ExportRevealed, ExportDownloaded}

// People answers with whom a job acts for. *org.Service does.
type People interface {
	Actor(ctx context.Context, id int64) (authz.Actor, error)
}

// lists is what work on many customers needs.
type lists struct {
	people  People
	files   *blob.Files
	jobs    *job.Queue
	reaches []int          // nil: the package's
	exports ExportApproval // nil: every export starts at once
}

// Equip gives the room what it needs for exports and bulk changes in the
// background: without it there are none.
func (s *Service) Equip(people People, files *blob.Files, jobs *job.Queue) {
	s.lists.people, s.lists.files, s.lists.jobs = people, files, jobs
	files.Authorize(exportType, s.mayDownload)
	jobs.Add(job.Worker{Kind: exportJob, Handle: s.export})
	jobs.Add(job.Worker{Kind: bulkJob, Handle: s.bulkWork})
	jobs.Add(job.Worker{Kind: levelsJob, Handle: s.levelsWork})
}
