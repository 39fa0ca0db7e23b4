package ui

import (
	"net/http"

	"bihuan/internal/authz"
	"bihuan/internal/i18n"
)

type httpWriter = http.ResponseWriter

func (s somebody) Authenticate(*http.Request) (authz.Actor, bool, error) {
	return authz.Actor{Kind: authz.User, ID: 7, Name: "林晓雯", Lang: i18n.Lang(s.lang)}, true, nil
}
