;;; aix-lsp-backend.el --- Whom a buffer asks for offers  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 The aix-lsp authors

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; A buffer asks the server of this package's own (backend `own'), or the
;; one that lsp-mode or eglot has started for it (`lsp-mode', `eglot').
;; Whatever it is, offers look and are taken alike.

;;; Code:

(require 'cl-lib)
(require 'aix-lsp-document)
(require 'aix-lsp-ghost)

(defvar-local aix-lsp-backend 'own "Whom this buffer asks: `own', `lsp-mode' or `eglot'.")

(cl-defgeneric aix-lsp-backend-attach (_backend)
  "This buffer begins to ask BACKEND."
  nil)

(cl-defgeneric aix-lsp-backend-detach (_backend)
  "This buffer ends to ask BACKEND."
  nil)

(cl-defgeneric aix-lsp-backend-ready-p (backend)
  "Whether BACKEND can be asked in this buffer.")

(cl-defgeneric aix-lsp-backend-ask (backend explicit answered)
  "Ask BACKEND for offers at point; EXPLICIT is non-nil if the user asked.
ANSWERED is called, in this buffer, with a list of the protocol's items.
Returns what `aix-lsp-backend-cancel' takes.")

(cl-defgeneric aix-lsp-backend-cancel (backend request)
  "Tell BACKEND that nobody waits for REQUEST.")

(cl-defgeneric aix-lsp-backend-execute (backend command arguments answered)
  "Let BACKEND execute COMMAND, a name, with ARGUMENTS, a vector.
ANSWERED is called with the result; where there is none, one line tells why.")

(cl-defgeneric aix-lsp-backend-point (backend position)
  "The place in this buffer of BACKEND's POSITION.")

(cl-defgeneric aix-lsp-backend-restart (backend)
  "Start the server of BACKEND anew.")

(defun aix-lsp-backend-candidates (items)
  "The candidates that ITEMS of the protocol are at point.
Their ranges end at point: others are left out."
  (let (found)
    (seq-doseq (item items)
      (let* ((range (plist-get item :range))
             (text (plist-get item :insertText))
             (beg (if range (aix-lsp-backend-point aix-lsp-backend (plist-get range :start)) (point)))
             (end (if range (aix-lsp-backend-point aix-lsp-backend (plist-get range :end)) (point))))
        (when (and (stringp text) (= end (point)))
          (push (make-aix-lsp-candidate :beg beg :text text :command (plist-get item :command)) found))))
    (nreverse found)))

;;;; The server of our own

(cl-defmethod aix-lsp-backend-attach ((_backend (eql own)))
  "Open the document, and start the server if there is none."
  (aix-lsp-document-attach))

(cl-defmethod aix-lsp-backend-detach ((_backend (eql own)))
  "Close the document."
  (aix-lsp-document-detach))

(cl-defmethod aix-lsp-backend-ready-p ((_backend (eql own)))
  "Whether the server has the document."
  (aix-lsp-document-open-p))

(cl-defmethod aix-lsp-backend-ask ((_backend (eql own)) explicit answered)
  "Tell what has changed and ask; EXPLICIT and ANSWERED as in the generic function."
  (aix-lsp-document-flush)
  (when-let* ((position (aix-lsp-position-at (point) (aix-lsp-server-encoding)))
              (buffer (current-buffer)))
    (aix-lsp-server-request
     :textDocument/inlineCompletion
     (list :textDocument (aix-lsp-document-identifier)
           :position position
           :context (list :triggerKind (if explicit 1 2)))
     (lambda (answer)
       (when (buffer-live-p buffer)
         (with-current-buffer buffer
           (funcall answered (plist-get answer :items))))))))

(cl-defmethod aix-lsp-backend-cancel ((_backend (eql own)) request)
  "Cancel REQUEST."
  (aix-lsp-server-cancel request))

(cl-defmethod aix-lsp-backend-execute ((_backend (eql own)) command arguments answered)
  "Execute COMMAND with ARGUMENTS; ANSWERED is called with the result."
  (aix-lsp-server-request :workspace/executeCommand
                          (list :command command :arguments arguments)
                          answered
                          (lambda (why) (message "aix: %s" why))))

(cl-defmethod aix-lsp-backend-point ((_backend (eql own)) position)
  "The place of POSITION."
  (aix-lsp-position-point position (aix-lsp-server-encoding)))

(cl-defmethod aix-lsp-backend-restart ((_backend (eql own)))
  "Restart the one server."
  (aix-lsp-server-restart))

(provide 'aix-lsp-backend)
;;; aix-lsp-backend.el ends here
