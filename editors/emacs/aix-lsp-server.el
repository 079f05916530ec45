;;; aix-lsp-server.el --- The server's process and what it asks of us  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 The aix-lsp authors

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; One server for all of Emacs, beside whatever other language servers
;; there are: its model is in memory once, and folders are added as files
;; of them are opened.  It is started again when it dies.

;;; Code:

(require 'cl-lib)
(require 'jsonrpc)
(require 'subr-x)
(require 'aix-lsp-options)
(require 'aix-lsp-position)

(defgroup aix-lsp-server nil
  "How the server is started."
  :group 'aix-lsp
  :prefix "aix-lsp-server-")

(defcustom aix-lsp-server-command '("aix-lsp" "serve" "--stdio")
  "The program of the server and its arguments."
  :type '(repeat string)
  :risky t)

(defvar aix-lsp-server-ready-hook nil
  "Run when a server has been started and can be told of documents.")

(defvar aix-lsp-server-gone-hook nil
  "Run when the server has ended, whatever the reason.")

(defvar aix-lsp-server-status-function #'ignore
  "Called with the server's account of itself, a property list.")

(defvar aix-lsp-server-configuration-function #'ignore
  "Called with a URI or nil; returns a buffer whose settings hold there.")

(defconst aix-lsp-server--log "*aix-lsp log*")
(defconst aix-lsp-server--log-most 200000 "Characters that are kept of the log.")
(defconst aix-lsp-server--last-lines 40 "Lines of what a server wrote that the log gets when it is given up.")
(defconst aix-lsp-server--patience 5 "Deaths in a row after which it is left dead.")
(defvar aix-lsp-server--pause 1 "Seconds before the first new start; each further one takes twice as long.")
(defconst aix-lsp-server--healthy 60 "Seconds of life after which deaths are counted anew.")

(defclass aix-lsp-server--connection (jsonrpc-process-connection)
  ((ready :initform nil :documentation "Whether `initialize' was answered.")
   (encoding :initform "utf-16" :documentation "How positions are counted.")
   (latest :initform nil :documentation "The number of the latest request.")
   (started :initform 0.0 :documentation "When the process was started.")
   (unwanted :initform nil :documentation "Whether it is we who end it."))
  :documentation "The connection to the server.")

(defvar aix-lsp-server--current nil "The connection, or nil.")
(defvar aix-lsp-server--folders nil "Paths of the folders that the server knows.")
(defvar aix-lsp-server--deaths 0 "Deaths in a row.")
(defvar aix-lsp-server--timer nil "The timer that starts the server again.")
(defvar aix-lsp-server--refused nil "Why there is no server, in one line, or nil.")

(cl-defmethod jsonrpc-connection-send :before
  ((connection aix-lsp-server--connection) &key id method &allow-other-keys)
  "Remember the ID of a request with METHOD that CONNECTION sends, so that it can be cancelled."
  (when (and id method)
    (setf (slot-value connection 'latest) id)))

(defun aix-lsp-server-ready-p ()
  "Whether the server can be asked."
  (and aix-lsp-server--current
       (slot-value aix-lsp-server--current 'ready)
       (jsonrpc-running-p aix-lsp-server--current)
       t))

(defun aix-lsp-server-refused ()
  "Why there is no server, in one line, or nil."
  aix-lsp-server--refused)

(defun aix-lsp-server-encoding ()
  "How the server counts positions within a line."
  (slot-value aix-lsp-server--current 'encoding))

(defun aix-lsp-server-pid ()
  "The number of the server's process, or nil."
  (and aix-lsp-server--current (process-id (jsonrpc--process aix-lsp-server--current))))

;;;; Talking to it

(defun aix-lsp-server-notify (method params)
  "Tell the server METHOD, a keyword, with PARAMS.  Nothing happens without a server."
  (when (aix-lsp-server-ready-p)
    (aix-lsp-server--send #'jsonrpc-notify method params)))

(defun aix-lsp-server--send (send &rest arguments)
  "Call SEND with the connection and ARGUMENTS; returns whether that was possible.
A process that has just died is found out here.  To signal it would take
Emacs's hooks from the buffer; the connection's own end tells the rest."
  (condition-case nil
      (progn (apply send aix-lsp-server--current arguments) t)
    (error nil)))

(defun aix-lsp-server-request (method params answered &optional failed)
  "Ask the server METHOD with PARAMS; ANSWERED is called with the result.
FAILED is called with one line where there is none.  Returns a number to
cancel with.  However long it takes, there is no other end to it: the
server answers every request."
  (let ((failed (or failed #'ignore)))
    (if (not (aix-lsp-server-ready-p))
        (progn (funcall failed (or aix-lsp-server--refused "the server is starting")) nil)
      (if (aix-lsp-server--send
           #'jsonrpc-async-request method params
           :timeout nil
           :success-fn answered
           :error-fn (lambda (problem) (funcall failed (plist-get problem :message))))
          (slot-value aix-lsp-server--current 'latest)
        (funcall failed "the server has ended")
        nil))))

(defun aix-lsp-server-cancel (number)
  "Cancel the request NUMBER, if there is one and it is not answered yet."
  (when (and number (aix-lsp-server-ready-p))
    (aix-lsp-server--send #'jsonrpc-notify :$/cancelRequest (list :id number))))

(defun aix-lsp-server-add-folder (folder)
  "Let the server read the files of FOLDER, a path."
  (unless (member folder aix-lsp-server--folders)
    (push folder aix-lsp-server--folders)
    (aix-lsp-server-notify :workspace/didChangeWorkspaceFolders
                           (list :event (list :added (vector (aix-lsp-server--folder folder))
                                              :removed [])))))

(defun aix-lsp-server--folder (folder)
  "FOLDER as the protocol has it."
  (list :uri (aix-lsp-position-uri (directory-file-name folder))
        :name (file-name-nondirectory (directory-file-name folder))))

;;;; Start and end

(defun aix-lsp-server-start ()
  "Start the server unless it runs, is being started, or cannot be."
  (unless (or aix-lsp-server--current aix-lsp-server--timer aix-lsp-server--refused)
    (if (let ((default-directory (expand-file-name "~/")))
          (executable-find (car aix-lsp-server-command)))
        (condition-case problem
            (aix-lsp-server--launch)
          (error (aix-lsp-server--refuse (format "the server does not start: %s" (error-message-string problem)))))
      (aix-lsp-server--refuse
       (format "no program `%s' here: `pip install aix-lsp' or set `aix-lsp-server-command', then M-x aix-lsp-restart"
               (car aix-lsp-server-command))))))

(defun aix-lsp-server--refuse (why)
  "There is no server: tell WHY, once."
  (setq aix-lsp-server--refused why)
  (funcall aix-lsp-server-status-function (list :state "failed" :message why))
  (message "aix: %s" why))

(defun aix-lsp-server--launch ()
  "Start the process and shake hands."
  (let* ((default-directory (expand-file-name "~/"))
         (name "aix-lsp")
         (connection
          (apply #'make-instance 'aix-lsp-server--connection
                 :name name
                 :process (lambda ()
                            (make-process :name name
                                          :command aix-lsp-server-command
                                          :connection-type 'pipe
                                          :coding 'utf-8-emacs-unix
                                          :noquery t
                                          ;; the name is one that jsonrpc.el knows
                                          :stderr (get-buffer-create (format "*%s stderr*" name))))
                 :notification-dispatcher #'aix-lsp-server--told
                 :request-dispatcher #'aix-lsp-server--asked
                 :on-shutdown #'aix-lsp-server--ended
                 ;; what is typed is never logged
                 (if (< emacs-major-version 30)
                     '(:events-buffer-scrollback-size 0)
                   '(:events-buffer-config (:size 0 :format full))))))
    (setf (slot-value connection 'started) (float-time))
    (setq aix-lsp-server--current connection)
    (funcall aix-lsp-server-status-function '(:state "loading" :message "the server is starting"))
    (aix-lsp-server--send
     #'jsonrpc-async-request :initialize (aix-lsp-server--handshake)
     :timeout nil
     :success-fn (lambda (answer) (aix-lsp-server--initialized connection answer))
     :error-fn (lambda (problem)
                 ;; of a process that died the connection's end is told too
                 (when (and (eq connection aix-lsp-server--current) (jsonrpc-running-p connection))
                   (aix-lsp-server--refuse
                    (format "the server does not start: %s" (plist-get problem :message))))))))

(defun aix-lsp-server--handshake ()
  "What `initialize' tells the server."
  (list :processId (emacs-pid)
        :clientInfo (list :name "aix-lsp.el" :version emacs-version)
        :rootUri nil
        :workspaceFolders (vconcat (mapcar #'aix-lsp-server--folder aix-lsp-server--folders))
        :initializationOptions (aix-lsp-options-collect '(machine window resource))
        :capabilities
        '( :general (:positionEncodings ["utf-32" "utf-16"])
           :workspace ( :workspaceFolders t
                        :configuration t
                        :didChangeConfiguration (:dynamicRegistration t))
           :textDocument ( :synchronization (:didSave t)
                           :inlineCompletion (:dynamicRegistration :json-false))
           :window (:showDocument (:support t))
           :experimental (:aix (:status t)))))

(defun aix-lsp-server--initialized (connection answer)
  "CONNECTION is ready; ANSWER is what the server can do."
  (when (eq connection aix-lsp-server--current)
    (setf (slot-value connection 'encoding)
          (or (plist-get (plist-get answer :capabilities) :positionEncoding) "utf-16"))
    (setf (slot-value connection 'ready) t)
    (jsonrpc-notify connection :initialized (make-hash-table))
    (run-hooks 'aix-lsp-server-ready-hook)))

(defun aix-lsp-server--ended (connection)
  "The process of CONNECTION is gone: start it again, later each time."
  (when (eq connection aix-lsp-server--current)
    (setq aix-lsp-server--current nil)
    (run-hooks 'aix-lsp-server-gone-hook)
    (unless (slot-value connection 'unwanted)
      (when (> (- (float-time) (slot-value connection 'started)) aix-lsp-server--healthy)
        (setq aix-lsp-server--deaths 0))
      (cl-incf aix-lsp-server--deaths)
      (if (> aix-lsp-server--deaths aix-lsp-server--patience)
          (aix-lsp-server--refuse
           (format "the server ended %d times%s; M-x aix-lsp-restart tries again"
                   aix-lsp-server--deaths (aix-lsp-server--last-words connection)))
        (let ((seconds (* aix-lsp-server--pause (expt 2 (1- aix-lsp-server--deaths)))))
          (funcall aix-lsp-server-status-function
                   (list :state "loading" :message (format "the server ended; it starts again in %s s" seconds)))
          (setq aix-lsp-server--timer
                (run-at-time seconds nil (lambda ()
                                           (setq aix-lsp-server--timer nil)
                                           (aix-lsp-server-start)))))))))

(defun aix-lsp-server--last-words (connection)
  "What the process of CONNECTION wrote last, as part of a sentence; the log gets more of it."
  (let* ((buffer (jsonrpc-stderr-buffer connection))
         (lines (and (buffer-live-p buffer)
                     (with-current-buffer buffer (split-string (buffer-string) "\n" t "[[:space:]]+")))))
    (if (not lines)
        ""
      (mapc #'aix-lsp-server--log (last lines aix-lsp-server--last-lines))
      (format ", at last with \"%s\" (more: M-x aix-lsp-show-log)"
              (truncate-string-to-width (car (last lines)) 200 nil nil t)))))

(defun aix-lsp-server-stop ()
  "End the server; it does not start again by itself."
  (when aix-lsp-server--timer
    (cancel-timer aix-lsp-server--timer)
    (setq aix-lsp-server--timer nil))
  (when-let* ((connection aix-lsp-server--current))
    (setf (slot-value connection 'unwanted) t)
    (ignore-errors (jsonrpc-notify connection :exit nil))
    ;; it may hang: the process is not waited for
    (delete-process (jsonrpc--process connection))
    (setq aix-lsp-server--current nil)
    (run-hooks 'aix-lsp-server-gone-hook)))

(defun aix-lsp-server-restart ()
  "Start the server anew, also after it was given up."
  (aix-lsp-server-stop)
  (setq aix-lsp-server--refused nil
        aix-lsp-server--deaths 0)
  (aix-lsp-server-start))

;;;; What it says and asks

(defun aix-lsp-server--told (_connection method params)
  "The server tells METHOD with PARAMS."
  (pcase method
    ('aix/status (funcall aix-lsp-server-status-function params))
    ('window/showMessage
     (let ((text (plist-get params :message)))
       (aix-lsp-server--log text)
       (message "%s" (if (string-prefix-p "aix" text) text (concat "aix: " text)))))
    ('window/logMessage (aix-lsp-server--log (plist-get params :message)))))

(defun aix-lsp-server--asked (_connection method params)
  "The server asks METHOD with PARAMS; the value is the answer."
  (pcase method
    ('workspace/configuration
     (vconcat (mapcar #'aix-lsp-server--configuration (plist-get params :items))))
    ('workspace/workspaceFolders
     (vconcat (mapcar #'aix-lsp-server--folder aix-lsp-server--folders)))
    ('window/showDocument (list :success (aix-lsp-server--show params)))
    ((or 'client/registerCapability 'client/unregisterCapability 'window/workDoneProgress/create
         'window/showMessageRequest)
     nil)
    (_ (jsonrpc-error :code -32601 :message (format "no method %s here" method)))))

(defun aix-lsp-server--configuration (item)
  "What holds for ITEM of `workspace/configuration'."
  (and (equal (plist-get item :section) "aix")
       (aix-lsp-options-collect
        '(window resource)
        (funcall aix-lsp-server-configuration-function (plist-get item :scopeUri)))))

(defun aix-lsp-server-configuration-changed ()
  "Let the server ask for the settings again."
  (aix-lsp-server-notify :workspace/didChangeConfiguration (list :settings nil)))

(defun aix-lsp-server--show (params)
  "Show the document of PARAMS, later: it is the server that waits here.  Returns what JSON calls true or false."
  (let ((uri (plist-get params :uri)))
    (if-let* ((file (aix-lsp-position-file uri)))
        (progn (run-at-time 0 nil (lambda () (pop-to-buffer (find-file-noselect file))))
               t)
      (if (string-match-p "\\`https?://" uri)
          (progn (run-at-time 0 nil #'browse-url uri)
                 t)
        :json-false))))

(defun aix-lsp-server--log (text)
  "Keep TEXT, a line that the server wrote, at the end of its log."
  (with-current-buffer (get-buffer-create aix-lsp-server--log)
    (unless (derived-mode-p 'special-mode) (special-mode))
    (let ((inhibit-read-only t))
      (save-excursion
        (goto-char (point-max))
        (insert (format-time-string "%T ") text "\n")
        (when (> (buffer-size) aix-lsp-server--log-most)
          (delete-region (point-min) (- (point-max) (/ aix-lsp-server--log-most 2))))))))

(provide 'aix-lsp-server)
;;; aix-lsp-server.el ends here
