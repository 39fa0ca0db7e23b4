package ui

import (
	"net/http"

	"bihuan/internal/web"
)

func showParts(w http.ResponseWriter, r *web.Request) error { return NoSuchPage() }
func tryParts(w http.ResponseWriter, r *web.Request) error  { return NoSuchPage() }
