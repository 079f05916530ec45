;;; aix-lsp-eglot.el --- Offers from a server that eglot runs  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 The aix-lsp authors

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; eglot has one server for a buffer.  In languages where that is to be
;; aix-lsp, `aix-lsp-eglot-setup' says so; elsewhere leave this out:
;; `aix-lsp-global-mode' works beside eglot and its server.

;;; Code:

(require 'cl-lib)
(require 'eglot)
(require 'aix-lsp)

(declare-function eglot--signal-textDocument/didChange "eglot")
(declare-function eglot--TextDocumentPositionParams "eglot")
(declare-function eglot--lsp-position-to-point "eglot")

(defclass aix-lsp-eglot-server (eglot-lsp-server)
  ((latest :initform nil :documentation "The number of the latest request."))
  :documentation "The server aix-lsp under eglot.")

;;;###autoload
(defun aix-lsp-eglot-setup (modes)
  "Let eglot run aix-lsp in MODES, a list of major modes, and show its offers."
  (add-to-list 'eglot-server-programs
               (cons modes (lambda (&rest _) (cons 'aix-lsp-eglot-server aix-lsp-server-command))))
  (add-hook 'eglot-managed-mode-hook #'aix-lsp-eglot--managed))

(defun aix-lsp-eglot--managed ()
  "Eglot begins or ends to manage this buffer."
  (cond ((not (eglot-managed-p))
         (when (eq aix-lsp-backend 'eglot)
           (aix-lsp-mode -1)
           (kill-local-variable 'aix-lsp-backend)
           (when aix-lsp-global-mode (aix-lsp-mode 1))))
        ((cl-typep (eglot-current-server) 'aix-lsp-eglot-server)
         (aix-lsp-use-backend 'eglot))))

(cl-defmethod eglot-client-capabilities ((_server aix-lsp-eglot-server))
  "What eglot can do, and that status notifications are wanted."
  (plist-put (copy-sequence (cl-call-next-method)) :experimental '(:aix (:status t))))

(cl-defmethod eglot-initialization-options ((_server aix-lsp-eglot-server))
  "The options that the user set."
  (aix-lsp-options-collect '(machine window resource)))

(cl-defmethod eglot-handle-notification ((_server aix-lsp-eglot-server) (_method (eql aix/status)) &rest status)
  "Show STATUS in the mode line."
  (aix-lsp-commands-told 'eglot status))

(cl-defmethod jsonrpc-connection-send :before ((server aix-lsp-eglot-server) &key id method &allow-other-keys)
  "Remember the ID of a request with METHOD that SERVER gets, so that it can be cancelled."
  (when (and id method)
    (setf (slot-value server 'latest) id)))

(defun aix-lsp-eglot--server ()
  "The server aix-lsp that eglot runs for this buffer, or nil."
  (let ((server (eglot-current-server)))
    (and (cl-typep server 'aix-lsp-eglot-server) (jsonrpc-running-p server) server)))

(cl-defmethod aix-lsp-backend-ready-p ((_backend (eql eglot)))
  "Whether eglot's server is there."
  (and (eglot-managed-p) (aix-lsp-eglot--server) t))

(cl-defmethod aix-lsp-backend-ask ((_backend (eql eglot)) explicit answered)
  "Tell what has changed and ask; EXPLICIT and ANSWERED as in the generic function."
  (let ((server (aix-lsp-eglot--server))
        (buffer (current-buffer)))
    (eglot--signal-textDocument/didChange)
    (jsonrpc-async-request
     server :textDocument/inlineCompletion
     (append (eglot--TextDocumentPositionParams)
             (list :context (list :triggerKind (if explicit 1 2))))
     :timeout nil
     :error-fn #'ignore
     :success-fn (lambda (answer)
                   (when (buffer-live-p buffer)
                     (with-current-buffer buffer
                       (funcall answered (plist-get answer :items))))))
    (slot-value server 'latest)))

(cl-defmethod aix-lsp-backend-cancel ((_backend (eql eglot)) request)
  "Cancel REQUEST."
  (when-let* ((server (aix-lsp-eglot--server)))
    (jsonrpc-notify server :$/cancelRequest (list :id request))))

(cl-defmethod aix-lsp-backend-execute ((_backend (eql eglot)) command arguments answered)
  "Execute COMMAND with ARGUMENTS; ANSWERED is called with the result."
  (when-let* ((server (aix-lsp-eglot--server)))
    (jsonrpc-async-request server :workspace/executeCommand
                           (list :command command :arguments arguments)
                           :timeout nil
                           :success-fn answered
                           :error-fn (lambda (problem) (message "aix: %s" (plist-get problem :message))))))

(cl-defmethod aix-lsp-backend-point ((_backend (eql eglot)) position)
  "The place of POSITION."
  (eglot--lsp-position-to-point position))

(cl-defmethod aix-lsp-backend-restart ((_backend (eql eglot)))
  "Let eglot connect anew."
  (if-let* ((server (eglot-current-server)))
      (eglot-reconnect server)
    (eglot-ensure)))

(provide 'aix-lsp-eglot)
;;; aix-lsp-eglot.el ends here
